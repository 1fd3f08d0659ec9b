//! How long a caller waits.

use std::time::Duration;

/// Reads a `grpc-timeout` header: up to eight digits and a unit, as gRPC over HTTP/2 says. `None` if it isn't one.
pub(super) fn parse(header: &str) -> Option<Duration> {
    let unit = header.chars().next_back()?;
    let digits = header.strip_suffix(unit)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let n: u64 = digits.parse().ok()?;
    match unit {
        'H' => Some(Duration::from_secs(n * 3600)),
        'M' => Some(Duration::from_secs(n * 60)),
        'S' => Some(Duration::from_secs(n)),
        'm' => Some(Duration::from_millis(n)),
        'u' => Some(Duration::from_micros(n)),
        'n' => Some(Duration::from_nanos(n)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_known() {
        let seconds = |text| parse(text).unwrap().as_secs_f64();
        for (text, expected) in [
            ("2H", 7200.0),
            ("2M", 120.0),
            ("5S", 5.0),
            ("1500m", 1.5),
            ("4999876u", 4.999_876),
            ("1n", 1e-9),
        ] {
            assert!((seconds(text) - expected).abs() < 1e-12, "{text}");
        }
        assert!(parse("99999999H").is_some());
    }

    #[test]
    fn anything_else_is_none() {
        for text in ["", "S", "5", "5s", "+5S", "-5S", "999999999S", "5 S", "5é"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
