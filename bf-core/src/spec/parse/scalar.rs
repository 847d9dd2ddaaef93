//! What an unquoted scalar means: the core schema of YAML 1.2.

use super::Value;

/// Reads an unquoted scalar.
pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).unwrap_or_else(|| Value::Text(text.to_owned())),
    }
}

fn number(text: &str) -> Option<Value> {
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" => {
            let infinity = if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY };
            return Some(Value::Float(infinity));
        }
        ".nan" | ".NaN" | ".NAN" if unsigned == text => return Some(Value::Float(f64::NAN)),
        _ => {}
    }
    // Rust also reads `inf`, `nan` and `infinity`, which are words in YAML.
    let digits = unsigned.strip_prefix('.').unwrap_or(unsigned);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if let Ok(value) = text.parse::<i64>() {
        return Some(Value::Int(value));
    }
    text.parse::<f64>().ok().map(Value::Float)
}

/// Digits without a sign, which Rust would accept in front of them.
fn radix(digits: &str, radix: u32) -> Option<Value> {
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    i64::from_str_radix(digits, radix).ok().map(Value::Int)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_are_told_apart() {
        assert_eq!(plain("16"), Value::Int(16));
        assert_eq!(plain("-1"), Value::Int(-1));
        assert_eq!(plain("0x10"), Value::Int(16));
        assert_eq!(plain("0o10"), Value::Int(8));
        assert_eq!(plain("0x-1"), Value::Text("0x-1".into()));
        assert_eq!(plain("1.5"), Value::Float(1.5));
        assert_eq!(plain("1e3"), Value::Float(1000.0));
        assert_eq!(plain(".5"), Value::Float(0.5));
        assert_eq!(plain("-.inf"), Value::Float(f64::NEG_INFINITY));
        assert_eq!(plain("yes"), Value::Text("yes".into()));
        assert_eq!(plain("inf"), Value::Text("inf".into()));
        assert_eq!(plain("3g.40gb"), Value::Text("3g.40gb".into()));
        assert_eq!(plain("99999999999999999999"), Value::Float(1e20));
        assert_eq!(plain(""), Value::Null);
    }
}
