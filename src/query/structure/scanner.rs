//! The words of TraceQL, as far as structural expressions need them, and the places they stand at.

use crate::error::{Error, Result};

use super::field::{SpanField, is_key_char};
use super::literal::{Literal, parse_duration};
use crate::model::{SpanKind, StatusCode};

/// Signs, longer ones first, so that the first that fits is the one meant.
const SIGNS: [&str; 23] = [
    "!>>", "!<<", "&&", "||", "!=", "!~", "!>", "!<", "=~", "<=", ">=", "<<", ">>", "{", "}", "(", ")", "=", "<", ">",
    "~", "|", "!",
];
/// Characters of what was found that an error shows.
const SHOWN: usize = 20;

/// One word or sign.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// A sign.
    Sign(&'static str),
    /// A field of a span.
    Field(SpanField),
    /// A value.
    Value(Literal),
    /// `nil`
    Nil,
    /// `count`
    Count,
    /// Nothing more.
    End,
}

/// Reads tokens one after the other.
pub struct Scanner<'t> {
    text: &'t str,
    /// Where the token at hand begins, and where it ends.
    begin: usize,
    end: usize,
    /// The token at hand.
    pub token: Token,
}

impl<'t> Scanner<'t> {
    /// A scanner at the first token.
    ///
    /// # Errors
    /// Invalid, naming the place, if no token begins there; so do all methods.
    pub fn new(text: &'t str) -> Result<Self> {
        let mut scanner = Self { text, begin: 0, end: 0, token: Token::End };
        scanner.advance()?;
        Ok(scanner)
    }

    /// Takes the token at hand and goes on to the next.
    ///
    /// # Errors
    /// As [`Scanner::new`].
    pub fn take(&mut self) -> Result<Token> {
        let taken = std::mem::replace(&mut self.token, Token::End);
        self.advance()?;
        Ok(taken)
    }

    /// Takes the sign at hand if it is this one.
    ///
    /// # Errors
    /// As [`Scanner::new`].
    pub fn take_sign(&mut self, sign: &str) -> Result<bool> {
        let is_it = matches!(self.token, Token::Sign(found) if found == sign);
        if is_it {
            self.advance()?;
        }
        Ok(is_it)
    }

    /// Takes this sign, or says that it was expected.
    ///
    /// # Errors
    /// As [`Scanner::new`].
    pub fn expect_sign(&mut self, sign: &str, expected: &str) -> Result<()> {
        if self.take_sign(sign)? { Ok(()) } else { Err(self.expected(expected)) }
    }

    /// The error that something else stands here.
    pub fn expected(&self, what: &str) -> Error {
        let rest = &self.text[self.begin..];
        let found: String = rest.chars().take(SHOWN).collect();
        let dots = if found.len() < rest.len() { "..." } else { "" };
        let found = if rest.is_empty() { "the end".to_owned() } else { format!("{found:?}{dots}") };
        self.wrong(&format!("expected {what}, found {found}"))
    }

    /// An error at the token at hand.
    pub fn wrong(&self, what: &str) -> Error {
        Error::invalid(format!("where, character {}: {what}", self.text[..self.begin].chars().count() + 1))
    }

    fn advance(&mut self) -> Result<()> {
        let rest = self.text[self.end..].trim_start();
        self.begin = self.text.len() - rest.len();
        self.end = self.begin;
        let Some(first) = rest.chars().next() else {
            self.token = Token::End;
            return Ok(());
        };
        self.token = match first {
            '"' => Token::Value(Literal::Text(self.quoted()?)),
            '`' => Token::Value(Literal::Text(self.raw()?)),
            '.' => self.attribute(None)?,
            '-' => {
                self.end += 1;
                self.number(true)?
            }
            first if first.is_ascii_digit() => self.number(false)?,
            first if first.is_alphabetic() || first == '_' => self.word()?,
            _ => {
                let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
                let sign = sign.ok_or_else(|| self.expected("a word, a value or an operator"))?;
                self.end += sign.len();
                Token::Sign(sign)
            }
        };
        Ok(())
    }

    /// The text from the end of what was read on.
    fn rest(&self) -> &'t str {
        &self.text[self.end..]
    }

    /// Reads on while the characters fit.
    fn run(&mut self, fits: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let run = &rest[..rest.find(|c| !fits(c)).unwrap_or(rest.len())];
        self.end += run.len();
        run
    }

    fn word(&mut self) -> Result<Token> {
        let word = self.run(|c| c.is_alphanumeric() || c == '_' || c == ':');
        if self.rest().starts_with('.') {
            let place = SpanField::place(word).ok_or_else(|| match word {
                "parent" => self.wrong("parent. is not supported; relate two sets of spans with > instead"),
                _ => self.expected("span. resource. event. link. or instrumentation. before an attribute"),
            })?;
            return self.attribute(Some(place));
        }
        if let Some(field) = SpanField::intrinsic(word) {
            return Ok(Token::Field(field));
        }
        Ok(match word {
            "true" => Token::Value(Literal::Bool(true)),
            "false" => Token::Value(Literal::Bool(false)),
            "nil" => Token::Nil,
            "count" => Token::Count,
            "minInt" => Token::Value(Literal::Int(i64::MIN)),
            "maxInt" => Token::Value(Literal::Int(i64::MAX)),
            word => {
                let status = StatusCode::from_word(word).map(Literal::Status);
                let kind = || SpanKind::from_word(word).map(Literal::Kind);
                let expected = "a field (name, duration, span.KEY, .KEY), a value, or a text in quotes";
                Token::Value(status.or_else(kind).ok_or_else(|| self.expected(expected))?)
            }
        })
    }

    /// Reads `.KEY`; parts of the key may stand in double quotes.
    fn attribute(&mut self, place: Option<super::super::tag::TagScope>) -> Result<Token> {
        self.end += 1;
        let mut key = String::new();
        loop {
            key.push_str(self.run(is_key_char));
            if !self.rest().starts_with('"') {
                break;
            }
            self.end += 1;
            self.quoted_part(&mut key)?;
        }
        if key.is_empty() {
            return Err(self.wrong("expected the key of an attribute after the dot"));
        }
        Ok(Token::Field(SpanField::Attribute { place, key }))
    }

    /// Reads the rest of a quoted part of a key, whose only escapes are `\"` and `\\`.
    fn quoted_part(&mut self, key: &mut String) -> Result<()> {
        let mut escaped = false;
        for (at, c) in self.rest().char_indices() {
            match c {
                '"' | '\\' if escaped => {
                    key.push(c);
                    escaped = false;
                }
                _ if escaped => return Err(self.wrong("in the quotes of a key only \\\" and \\\\ are escapes")),
                '\\' => escaped = true,
                '"' => {
                    self.end += at + 1;
                    return Ok(());
                }
                c => key.push(c),
            }
        }
        Err(self.wrong("the quotes of a key do not end"))
    }

    fn number(&mut self, negative: bool) -> Result<Token> {
        let first = self.end;
        self.run(|c| c.is_ascii_alphanumeric() || c == '.' || c == 'µ' || c == 'μ');
        let so_far = &self.text[first..self.end];
        let mantissa =
            so_far.strip_suffix(['e', 'E']).is_some_and(|m| m.chars().all(|c| c.is_ascii_digit() || c == '.'));
        if mantissa && self.rest().starts_with(['+', '-']) {
            self.end += 1;
            self.run(|c| c.is_ascii_digit());
        }
        let digits = &self.text[first..self.end];
        if !digits.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.expected("a number after the minus"));
        }
        if digits.chars().all(|c| c.is_ascii_digit()) {
            let number = digits.parse::<i128>().ok().map(|number| if negative { -number } else { number });
            let number = number.and_then(|number| i64::try_from(number).ok());
            return number.map(|n| Token::Value(Literal::Int(n))).ok_or_else(|| self.wrong("the number is too large"));
        }
        if let Some(double) = digits.parse::<f64>().ok().filter(|double| double.is_finite()) {
            return Ok(Token::Value(Literal::Double(if negative { -double } else { double })));
        }
        let nanos =
            parse_duration(digits).ok_or_else(|| self.expected("a number, or a duration like 250ms or 1h30m"))?;
        Ok(Token::Value(Literal::Duration(if negative { -nanos } else { nanos })))
    }

    fn raw(&mut self) -> Result<String> {
        self.end += 1;
        let text = self.run(|c| c != '`');
        if self.rest().is_empty() {
            return Err(self.wrong("the quotes do not end"));
        }
        self.end += 1;
        Ok(text.to_owned())
    }

    /// Reads a text as Go writes it.
    fn quoted(&mut self) -> Result<String> {
        self.end += 1;
        let mut bytes = Vec::new();
        loop {
            bytes.extend_from_slice(self.run(|c| c != '"' && c != '\\').as_bytes());
            let mut rest = self.rest().chars();
            let (next, escape) = (rest.next(), rest.next());
            self.end += next.map_or(0, char::len_utf8);
            match (next, escape) {
                (Some('"'), _) => break,
                (Some('\\'), Some(escape)) => {
                    self.end += escape.len_utf8();
                    self.escape(escape, &mut bytes)?;
                }
                _ => return Err(self.wrong("the quotes do not end")),
            }
        }
        String::from_utf8(bytes).map_err(|_| self.wrong("the text is not UTF-8"))
    }

    fn escape(&mut self, escape: char, bytes: &mut Vec<u8>) -> Result<()> {
        let (digits, radix) = match escape {
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' | '"' | '\'' => {
                bytes.push(simple_escape(escape));
                return Ok(());
            }
            'x' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            '0'..='7' => {
                self.end -= 1;
                (3, 8)
            }
            other => return Err(self.wrong(&format!("\\{other} is no escape; a backslash is \\\\"))),
        };
        let code = self.rest().get(..digits).and_then(|digits| u32::from_str_radix(digits, radix).ok());
        let code = code.ok_or_else(|| self.wrong(&format!("\\{escape} wants {digits} digits")))?;
        self.end += digits;
        if matches!(escape, 'u' | 'U') {
            let character = char::from_u32(code).ok_or_else(|| self.wrong("an escape names no character"))?;
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            bytes.push(u8::try_from(code).map_err(|_| self.wrong("an escape is larger than a byte"))?);
        }
        Ok(())
    }
}

/// The byte that a letter after a backslash stands for.
fn simple_escape(escape: char) -> u8 {
    match escape {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        other => other as u8,
    }
}
