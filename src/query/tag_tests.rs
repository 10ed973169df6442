//! The rules of a tag filter, one test each.

use std::sync::Arc;

use super::fixture::{event, span};
use super::number::Number;
use super::tag::{Operand, TagFilter, TagOperator, TagScope};
use crate::error::ErrorKind;
use crate::model::{Event, KeyValue, Link, Value, ValueRef};

fn filter(text: &str) -> TagFilter {
    TagFilter::parse(text).unwrap()
}

/// The verdict on a span whose attribute `k` has this value.
fn verdict(text: &str, value: impl Into<Value>) -> bool {
    filter(text).matches_span(&span(1, 1).tag("k", value))
}

fn array(elements: impl IntoIterator<Item = Value>) -> Value {
    Value::Array(elements.into_iter().collect())
}

#[test]
fn a_filter_has_scope_key_operator_and_value() {
    let read = filter("span:http.status_code>=500");
    assert_eq!((read.scope(), read.key()), (Some(TagScope::Span), "http.status_code"));
    assert_eq!((read.operator(), read.operand()), (TagOperator::GreaterOrEqual, &Operand::Bare("500".to_owned())));
    assert_eq!(read.number(), Some(Number::Int(500)));
}

#[test]
fn the_key_ends_at_the_first_sign_and_the_rest_is_value() {
    let cases = [
        ("a=b=c", "a", TagOperator::Equal, "b=c"),
        ("a==b", "a", TagOperator::Equal, "=b"),
        ("a=", "a", TagOperator::Equal, ""),
        ("a= b ", "a", TagOperator::Equal, " b "),
        ("a!==", "a", TagOperator::NotEqual, "="),
        ("a<>1", "a", TagOperator::Less, ">1"),
        ("a<=1", "a", TagOperator::LessOrEqual, "1"),
        ("a>1", "a", TagOperator::Greater, "1"),
        ("a>=1", "a", TagOperator::GreaterOrEqual, "1"),
        ("a=~b.*", "a", TagOperator::Matches, "b.*"),
        ("a!~b", "a", TagOperator::NotMatches, "b"),
        ("a", "a", TagOperator::Present, ""),
        ("a~b", "a~b", TagOperator::Present, ""),
    ];
    for (text, key, operator, value) in cases {
        let read = filter(text);
        assert_eq!((read.key(), read.operator(), read.operand().text()), (key, operator, value), "{text}");
    }
}

#[test]
fn keys_may_hold_any_other_character() {
    for key in ["with space", "a:b", "spanner:x", "ключ", "a\"b", "[0]/x#y", "event.name", " lead"] {
        assert_eq!(filter(&format!("{key}=v")).key(), key);
        assert!(filter(&format!("{key}=v")).matches_span(&span(1, 1).tag(key, "v")), "{key}");
    }
}

#[test]
fn only_the_first_prefix_is_a_scope() {
    assert_eq!((filter("span:span:k").scope(), filter("span:span:k").key()), (Some(TagScope::Span), "span:k"));
    assert_eq!((filter("Span:k").scope(), filter("Span:k").key()), (None, "Span:k"));
}

#[test]
fn a_filter_that_cannot_be_read_says_what_is_wrong_and_where() {
    let message = |text: &str| {
        let error = TagFilter::parse(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(!error.to_string().contains('\n'));
        error.to_string()
    };
    assert!(message("").contains("KEY is empty"));
    assert!(message("=x").contains("KEY is empty"));
    assert!(message("span:").contains("KEY is empty"));
    assert!(message("span:a!b").contains("no operator at byte 6"));
    assert!(message("key=~(").contains("tag filter of key \"key\": regular expression \"(\": unclosed group"));
    assert!(message("key=~a)|(b").contains("unopened group"));
    assert!(message("key=~(a{1000}){1000}").contains("size limit"));
}

#[test]
fn a_filter_prints_as_the_text_it_was_read_from() {
    for text in ["k", "span:k", "a=b=c", "k!=\"5\"", "link:k=~a|b", "k!~x", "k<=1.5", "k=", "k=\"\"", "k=\""] {
        assert_eq!(filter(text).to_string(), text);
    }
}

#[test]
fn filters_are_equal_when_they_read_the_same() {
    assert_eq!(filter("k=~a+"), filter("k=~a+"));
    for other in ["k=~a", "k!~a+", "j=~a+", "span:k=~a+", "k=~\"a+\""] {
        assert_ne!(filter("k=~a+"), filter(other));
    }
}

#[test]
fn without_a_prefix_all_five_places_are_looked_in_and_with_one_only_that() {
    let attribute = vec![KeyValue::new("k", "v")];
    let mut places = [1, 2, 3, 4, 5].map(|id| span(1, id));
    places[0].attributes = attribute.clone();
    Arc::make_mut(&mut places[1].resource).attributes = attribute.clone();
    Arc::make_mut(&mut places[2].scope).attributes = attribute.clone();
    places[3].events = vec![event("k"), Event { attributes: attribute.clone(), ..event("e") }];
    places[4].links = vec![Link::default(), Link { attributes: attribute, ..Link::default() }];
    for (place, scope) in places.iter().zip(TagScope::ALL) {
        assert!(filter("k=v").matches_span(place), "{scope:?}");
        for only in TagScope::ALL {
            let restricted = filter(&format!("{}:k=v", only.as_str()));
            assert_eq!(restricted.matches_span(place), only == scope, "{only:?} in {scope:?}");
            assert_eq!(restricted.looks_in(scope), only == scope);
        }
    }
    assert!(!filter("k=v").matches_span(&span(1, 6)));
}

#[test]
fn name_and_version_of_the_scope_count_as_its_attributes() {
    let mut named = span(1, 1);
    let scope = Arc::make_mut(&mut named.scope);
    (scope.name, scope.version) = ("io.tracer".to_owned(), "2.0".to_owned());
    for text in
        ["otel.scope.name=io.tracer", "scope:otel.scope.version=2.0", "otel.scope.name=~io.*", "otel.scope.name"]
    {
        assert!(filter(text).matches_span(&named), "{text}");
        assert!(!filter(text).matches_span(&span(1, 1)), "{text}");
    }
    assert!(!filter("span:otel.scope.name").matches_span(&named));
    assert!(!filter("otel.scope.version=2").matches_span(&named), "a version is a string");
}

#[test]
fn a_key_alone_asks_for_presence_whatever_the_value() {
    let list = Value::KeyValueList(vec![]);
    for value in [Value::Empty, "".into(), 0.into(), false.into(), Value::Bytes(vec![]), array([]), list] {
        assert!(verdict("k", value.clone()), "{value:?}");
        assert!(!verdict("j", value));
    }
}

#[test]
fn a_bare_value_equals_a_string_by_its_text_and_others_by_value() {
    assert!(verdict("k=200", "200"));
    assert!(verdict("k=200", 200));
    assert!(verdict("k=200", 200.0));
    assert!(verdict("k=200.0", 200));
    assert!(verdict("k=2e2", 200));
    assert!(!verdict("k=200.0", "200"));
    assert!(!verdict("k=0200", "200"));
    assert!(verdict("k=0.1", 0.1));
    assert!(verdict("k=true", true));
    assert!(verdict("k=true", "true"));
    assert!(!verdict("k=True", true));
    assert!(!verdict("k=1", true));
    assert!(!verdict("k=false", true));
    assert!(!verdict("k=NaN", f64::NAN));
    assert!(!verdict("k=GET", "get"));
}

#[test]
fn a_quoted_value_equals_strings_only() {
    assert!(verdict("k=\"200\"", "200"));
    assert!(!verdict("k=\"200\"", 200));
    assert!(!verdict("k=\"200\"", 200.0));
    assert!(!verdict("k=\"true\"", true));
    assert!(verdict("k!=\"200\"", 200));
    assert_eq!(filter("k=\"200\"").number(), None);
}

#[test]
fn between_the_quotes_nothing_is_special() {
    assert!(verdict(r#"k="a"b\""#, r#"a"b\"#));
    assert!(verdict(r#"k=""""#, "\""), "two quotes around one");
}

#[test]
fn a_value_that_is_not_quoted_on_both_sides_is_bare() {
    assert!(verdict("k=\"", "\""));
    assert!(verdict("k=\"a", "\"a"));
    assert!(verdict("k=a\"", "a\""));
}

#[test]
fn an_empty_value_equals_the_empty_string_alone() {
    for text in ["k=", "k=\"\""] {
        assert!(verdict(text, ""));
        assert!(!verdict(text, " "));
        assert!(!verdict(text, 0));
        assert!(!verdict(text, Value::Empty));
        assert!(!filter(text).matches_span(&span(1, 1)));
    }
}

#[test]
fn integers_and_doubles_are_equal_only_if_they_are_exactly() {
    assert!(verdict("k=9007199254740993", 9_007_199_254_740_993));
    assert!(!verdict("k=9007199254740993", 9_007_199_254_740_992));
    assert!(!verdict("k=9007199254740993", 9_007_199_254_740_992.0));
    assert!(!verdict("k=9223372036854775808", i64::MAX));
    assert!(verdict("k>9007199254740992", 9_007_199_254_740_993));
}

#[test]
fn order_with_a_number_compares_numbers_only() {
    assert!(verdict("k>=500", 500));
    assert!(verdict("k>=500", 500.5));
    assert!(verdict("k<500.5", 500));
    assert!(!verdict("k>500", 500));
    assert!(verdict("k<=500", 500.0));
    assert!(!verdict("k<500", 500));
    assert!(verdict("k<-1", -2));
    assert!(!verdict("k>=500", "503"));
    assert!(!verdict("k>=0", true));
    assert!(!verdict("k>=0", f64::NAN));
    assert!(!verdict("k<0", f64::NAN));
}

#[test]
fn order_with_other_text_compares_the_bytes_of_strings() {
    assert!(verdict("k<b", "a"));
    assert!(verdict("k<b", "B"));
    assert!(verdict("k>b", "é"));
    assert!(verdict("k>=b", "b"));
    assert!(!verdict("k>b", "b"));
    assert!(verdict("k>", "a"));
    assert!(!verdict("k>", ""));
    assert!(!verdict("k<b", 1));
    assert!(!verdict("k<true", false));
}

#[test]
fn order_with_a_quoted_number_compares_the_bytes_of_strings() {
    assert!(verdict("k>\"5\"", "503"));
    assert!(verdict("k<\"5\"", "10"));
    assert!(!verdict("k<\"5\"", 1));
}

#[test]
fn regular_expressions_match_whole_strings_only() {
    assert!(verdict("k=~ab?", "a"));
    assert!(!verdict("k=~ab?", "abc"));
    assert!(!verdict("k=~b", "ab"));
    assert!(verdict("k=~a|ab", "ab"), "every alternative may match the whole");
    assert!(verdict("k=~", ""));
    assert!(!verdict("k=~", "a"));
    assert!(!verdict("k=~a", "a\n"));
    assert!(!verdict("k=~(?m)^a$", "a\nb"));
    assert!(verdict("k=~(?i)GET", "get"));
    assert!(verdict("k=~(?x)a b # comment", "ab"));
    assert!(!verdict("k=~(?x)a b # comment", "abc"));
    assert!(verdict("k=~\"a.c\"", "abc"), "quotes are no part of the pattern");
    assert!(!verdict("k=~.*", 5));
    assert!(!verdict("k=~true", true));
}

#[test]
fn arrays_match_by_any_element() {
    let mixed = || array(["a".into(), 5.into(), true.into(), array([7.5.into()])]);
    for text in ["k=a", "k=5", "k=true", "k=7.5", "k>7", "k<6", "k=~[ab]", "k<b", "k"] {
        assert!(verdict(text, mixed()), "{text}");
    }
    for text in ["k=b", "k=6", "k>8", "k=~5", "k!=a", "k!=7.5", "k!~a"] {
        assert!(!verdict(text, mixed()), "{text}");
    }
    assert!(verdict("k!=b", mixed()));
    assert!(verdict("k!~b", mixed()));
    assert!(!verdict("k=", array([])));
    assert!(verdict("k!=x", array([])));
}

#[test]
fn arrays_nested_without_end_are_walked_without_recursion() {
    // Deeper than the stack would bear; the value itself is dropped recursively, so it is taken apart.
    let mut deep = (0..100_000).fold(Value::Int(5), |inner, _| array([inner]));
    assert!(filter("k=5").matches_value(&ValueRef::from(&deep)));
    assert!(!filter("k=6").matches_value(&ValueRef::from(&deep)));
    while let Value::Array(mut elements) = deep {
        deep = elements.pop().unwrap();
    }
}

#[test]
fn repeated_keys_match_by_any_of_their_values() {
    let twice = span(1, 1).tag("k", "a").tag("k", 5).resource("k", "c");
    for text in ["k=a", "k=5", "k=c", "span:k!=c", "k!=d", "resource:k!=a", "k!~d"] {
        assert!(filter(text).matches_span(&twice), "{text}");
    }
    for text in ["k!=a", "k!=5", "k!=c", "k!~c", "resource:k!=c"] {
        assert!(!filter(text).matches_span(&twice), "{text}");
    }
}

#[test]
fn negated_operators_need_the_key() {
    for text in ["k!=a", "k!~a", "k!=", "span:k!=a"] {
        assert!(filter(text).operator().is_negated());
        assert!(!filter(text).matches_span(&span(1, 1).tag("j", "b")), "{text}");
        assert!(filter(text).matches_span(&span(1, 1).tag("k", "b")), "{text}");
    }
    assert!(!filter("span:k!=a").matches_span(&span(1, 1).resource("k", "b")));
    assert!(verdict("k!~a", 5), "a value that is no string does not match");
}

#[test]
fn bytes_nested_lists_and_empty_values_are_present_and_equal_nothing() {
    let list = Value::KeyValueList(vec![KeyValue::new("k", "a"), KeyValue::new("a", "a")]);
    for value in [Value::Bytes(b"a".to_vec()), Value::Bytes(vec![]), list.clone(), array([list]), Value::Empty] {
        for text in ["k=a", "k=", "k=~.*", "k<z", "k>=0"] {
            assert!(!verdict(text, value.clone()), "{text} {value:?}");
        }
        assert!(verdict("k!=a", value.clone()));
        assert!(verdict("k!~.*", value));
    }
}

#[test]
fn a_filter_made_of_parts_equals_the_one_read() {
    let made = TagFilter::new(Some(TagScope::Event), "k", TagOperator::Equal, Operand::Quoted("5".to_owned()));
    assert_eq!(made.unwrap(), filter("event:k=\"5\""));
    assert!(TagFilter::new(None, "", TagOperator::Present, Operand::Bare(String::new())).is_err());
}
