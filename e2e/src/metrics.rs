//! What a process counts about itself, as it stands on its /metrics page.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};

use crate::http_get;

/// One look at a /metrics page.
#[derive(Debug, Clone)]
pub struct Metrics {
    text: String,
}

impl Metrics {
    /// Reads the page.
    pub async fn scrape(address: SocketAddr) -> Result<Self> {
        let (code, text) = http_get::get(address, "/metrics").await?;
        ensure!(code == 200, "http://{address}/metrics answered {code}: {text}");
        Ok(Self { text })
    }

    /// The sum over all series of this name that carry these labels: 0 if there is none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.matching(name, labels).sum()
    }

    /// The value of the one series of this name that carries these labels.
    ///
    /// # Errors
    /// If there is no such series.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
        self.matching(name, labels)
            .next()
            .with_context(|| format!("no series {name} with {labels:?} in\n{}", self.text))
    }

    /// The names of all labels of all series.
    #[must_use]
    pub fn label_names(&self) -> BTreeSet<&str> {
        let series = self.text.lines().filter(|line| !line.starts_with('#'));
        series
            .filter_map(|line| Some(line.split_once('{')?.1.rsplit_once('}')?.0))
            .flat_map(|labels| labels.split("\","))
            .filter_map(|label| Some(label.split_once('=')?.0))
            .collect()
    }

    /// The page as it came.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    fn matching<'a>(&'a self, name: &'a str, labels: &'a [(&str, &str)]) -> impl Iterator<Item = f64> + 'a {
        self.text.lines().filter_map(move |line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (series_name, rest) = series.split_once('{').unwrap_or((series, ""));
            let carries = |(key, value): &(&str, &str)| rest.contains(&format!("{key}=\"{value}\""));
            (series_name == name && labels.iter().all(carries)).then(|| value.parse().ok())?
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_found_by_name_and_labels() {
        let text = "# HELP a b\n# TYPE a gauge\na{pool=\"p\",state=\"used\"} 3\na{pool=\"p\",state=\"free\"} 4\nab 5\n".to_owned();
        let metrics = Metrics { text };
        assert_eq!(
            metrics
                .value("a", &[("state", "used")])
                .expect("a series")
                .to_string(),
            "3"
        );
        assert_eq!(metrics.sum("a", &[("pool", "p")]).to_string(), "7");
        assert_eq!(metrics.value("ab", &[]).expect("a series").to_string(), "5");
        assert!(metrics.value("b", &[]).is_err());
    }

    #[test]
    fn names_of_labels_are_no_part_of_their_values() {
        let text = "# HELP a {c=\"d\"}\na{pool=\"x,y=z\",le=\"+Inf\"} 3\na{pool=\"p\"} 4\nb 5\n".to_owned();
        let metrics = Metrics { text };
        assert_eq!(metrics.label_names(), BTreeSet::from(["le", "pool"]));
    }
}
