//! What is read, what is refused, and what comes back.

use proptest::prelude::*;

use super::*;
use crate::query::tag::TagOperator;

#[test]
fn what_is_printed_is_what_was_meant() {
    let cases = [
        ("{}", "{ }"),
        ("{ name = `x` }", r#"{ name = "x" }"#),
        ("{.a}>>{span.b!=nil}", "{ .a = true } >> { span.b != nil }"),
        ("{ 5 < .a || 1s = duration && !.b }", "{ .a > 5 || duration = 1s && !(.b = true) }"),
        (
            "({name=\"a\"} && {}) ~ {status=error} | count() > 3",
            "({ name = \"a\" } && { }) ~ { status = error } | count() > 3",
        ),
        ("{} !>> {} !< {} || {} && {}", "{ } !>> { } !< { } || { } && { }"),
        ("{} > ({} > {})", "{ } > ({ } > { })"),
        ("(({kind=server}|count()!=0))&&{}", "({ kind = server } | count() != 0) && { }"),
        (r#"{ span."a b".c = -1.5e3 }"#, r#"{ span."a b.c" = -1500.0 }"#),
        (
            "{ resource.service.name =~ \"a.*\" && scope.x = 1 }",
            "{ resource.service.name =~ \"a.*\" && instrumentation.x = 1 }",
        ),
        ("{ span:duration >= 1h30m && event:name = \"\\u00e9\\n\" }", "{ duration >= 90m && event:name = \"é\\n\" }"),
        ("{ nestedSetParent < 0 || rootServiceName = \"a\" }", "{ nestedSetParent < 0 || trace:rootService = \"a\" }"),
        ("{ (true || false) && .a = minInt }", "{ true || false && .a = -9223372036854775808 }"),
    ];
    for (text, printed) in cases {
        let set = SpanSet::parse(text).unwrap();
        assert_eq!(set.to_string(), printed);
        assert_eq!(SpanSet::parse(printed).unwrap(), set, "{printed}");
    }
}

#[test]
fn an_error_names_the_place_and_what_was_expected() {
    let cases = [
        ("", "character 1: expected { or (, found the end"),
        ("{ name = }", "character 10: expected a number"),
        ("{ name = \"x\" ", "character 14: expected && || or }, found the end"),
        ("{} >> ", "character 7: expected { or (, found the end"),
        ("{} {}", "character 4: expected && || > >>"),
        ("{ nam = 1 }", "character 3: expected a field"),
        ("{ status > error }", "character 3: status > error: such values have no order"),
        ("{ kind = error }", "character 3: kind = error: kind has no values of that type"),
        ("{ span.level = error }", "put a text in quotes"),
        ("{ .a =~ 5 }", "a regular expression is a text in quotes"),
        ("{ name =~ \"(\" }", "regular expression"),
        ("{ duration = nil }", "duration is always there"),
        ("{ resource.service.name = nil }", "is always there"),
        ("{ parent.a = 1 }", "parent. is not supported"),
        ("{ .a = .b }", "two fields cannot be compared"),
        ("{ é.a = 1 }", "character 3: expected span."),
        ("{ .a = 5x }", "character 8: expected a number, or a duration"),
        ("{ .a = \"x }", "character 8: the quotes do not end"),
        ("{} | avg(duration) > 1", "character 6: expected a field"),
        ("{} | count() > 1.5", "character 16: expected a whole number"),
        ("{} &>> {}", "character 4: expected a word, a value or an operator"),
        ("{ .a = 99999999999999999999 }", "character 8: the number is too large"),
    ];
    for (text, part) in cases {
        let error = SpanSet::parse(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
        assert!(error.len() < 250, "{error}");
    }
}

#[test]
fn deep_and_long_expressions_are_refused_and_do_no_harm() {
    for text in ["(".repeat(60_000), "{ ".to_owned() + &"!".repeat(60_000), "{ ".to_owned() + &"(".repeat(60_000)] {
        assert!(SpanSet::parse(&text).unwrap_err().to_string().contains("nested deeper than 64"));
    }
    assert!(SpanSet::parse(&vec!["{}"; 3_000].join("&&")).unwrap_err().to_string().contains("more than"));
    assert!(SpanSet::parse(&" ".repeat(70_000)).unwrap_err().to_string().contains("at most"));
    let long = (0..100_000).fold(SpanSet::all(), |set, _| set.or(SpanSet::all()));
    assert!(long.check().is_err());
    assert!(long.to_string().len() > 100_000);
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-z.0-9]{1,6}", 1 => "\\PC{0,6}", 1 => any::<String>()]
}

fn condition() -> impl Strategy<Value = Condition> {
    use SpanField as F;
    let place = proptest::option::of(proptest::sample::select(crate::query::TagScope::ALL.to_vec()));
    let key = text().prop_map(|key| if key.is_empty() { "k".to_owned() } else { key });
    let attribute = (place, key).prop_map(|(place, key)| F::Attribute { place, key }).boxed();
    let intrinsic = proptest::sample::select(vec![
        F::Name,
        F::Kind,
        F::Status,
        F::StatusMessage,
        F::Duration,
        F::SpanId,
        F::ParentId,
        F::ChildCount,
        F::TraceId,
        F::TraceDuration,
        F::RootName,
        F::RootService,
        F::EventName,
        F::EventTimeSinceStart,
        F::LinkTraceId,
        F::LinkSpanId,
        F::ScopeName,
        F::ScopeVersion,
        F::NestedSetLeft,
        F::NestedSetRight,
        F::NestedSetParent,
    ]);
    let operator = proptest::sample::select(TagOperator::SIGNED.to_vec());
    let finite = any::<f64>().prop_filter("finite", |double| double.is_finite());
    let literal = prop_oneof![
        any::<i64>().prop_map(Literal::Int),
        any::<i64>().prop_map(Literal::Duration),
        finite.prop_map(Literal::Double),
        text().prop_map(Literal::Text),
        any::<bool>().prop_map(Literal::Bool),
        (0..3i32).prop_map(|code| Literal::Status(crate::model::StatusCode(code))),
        (0..6i32).prop_map(|code| Literal::Kind(crate::model::SpanKind(code))),
    ];
    let test = (prop_oneof![attribute.clone(), intrinsic], operator, literal)
        .prop_filter_map("types", |(field, operator, literal)| Condition::compare(field, operator, literal).ok());
    let nil = (attribute, any::<bool>()).prop_filter_map("nil", |(field, present)| {
        if present { Condition::present(field).ok() } else { Condition::absent(field).ok() }
    });
    let leaf = prop_oneof![5 => test, 1 => nil, 1 => any::<bool>().prop_map(Condition::constant)];
    leaf.prop_recursive(4, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.and(b)),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.or(b)),
            inner.prop_map(Condition::negated),
        ]
    })
}

fn set() -> impl Strategy<Value = SpanSet> {
    condition().prop_map(SpanSet::of).prop_recursive(4, 12, 2, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            (two.clone(), proptest::sample::select(Relation::ALL.to_vec()), any::<bool>()).prop_map(
                |((a, b), relation, negated)| if negated { a.unrelated(relation, b) } else { a.related(relation, b) }
            ),
            two.clone().prop_map(|(a, b)| a.and(b)),
            two.prop_map(|(a, b)| a.or(b)),
            (inner, 2..8usize, any::<u32>())
                .prop_map(|(a, operator, n)| a.count(TagOperator::SIGNED[operator], n.into()).unwrap()),
        ]
    })
}

#[test]
fn no_number_is_too_large_for_a_duration() {
    for text in ["{ duration > 1e300 }", "{ duration < -1e300 }", "{ duration >= 1e300 }", "{ duration <= -1e300 }"] {
        let set = SpanSet::parse(text).map_err(|error| error.to_string());
        assert!(set.is_ok(), "{text}: {set:?}");
    }
}

proptest! {
    #[test]
    fn every_expression_is_read_back_as_itself(set in set()) {
        let text = set.to_string();
        prop_assert_eq!(SpanSet::parse(&text).map_err(|e| e.to_string()), Ok(set), "{}", text);
    }

    #[test]
    fn no_text_is_too_strange_to_be_refused(text in any::<String>()) {
        let _ = SpanSet::parse(&text);
    }

    #[test]
    fn no_list_of_words_is_too_strange_to_be_refused(words in proptest::collection::vec(proptest::sample::select(vec![
        "{", "}", "(", ")", "!", "=", "!=", "<", ">", ">>", "!>>", "!<", "~", "!~", "&&", "||", "|", "count()", "name",
        ".a", "span.", "5", "-", "1s", "\"x\"", "`", "nil", "true", "error", "server", "\\", "é", " ",
    ]), 0..20)) {
        let _ = SpanSet::parse(&words.concat());
        let _ = SpanSet::parse(&words.join(" "));
    }
}
