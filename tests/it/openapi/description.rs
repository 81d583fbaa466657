//! `docs/openapi.yaml`, and what of it was seen.

use std::collections::BTreeSet;

use serde_json::Value;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.yaml");

/// An operation: its method, in small letters, and its path.
pub type Operation = (String, String);
/// An operation and one of its statuses.
pub type Case = (Operation, u16);

/// The description. Its schemas let clients meet fields that are not in them yet; here they are closed.
pub struct Description {
    document: Value,
}

/// What a helper answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Description {
    pub fn read() -> Description {
        let mut document = serde_yaml_ng::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap();
        close(&mut document);
        Description { document }
    }

    /// Everything that it says may happen.
    pub fn cases(&self) -> BTreeSet<Case> {
        let paths = self.document["paths"].as_object().unwrap().iter();
        let operations = paths.flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters");
            methods.map(move |(method, operation)| ((method.clone(), path.clone()), operation))
        });
        let cases = operations.flat_map(|(key, operation)| {
            let statuses = operation["responses"].as_object().unwrap().keys();
            statuses.map(move |status| (key.clone(), status.parse().unwrap()))
        });
        cases.collect()
    }

    /// The answer is one of those that the operation has.
    #[track_caller]
    pub fn check(&self, (method, path): &Operation, answer: &Answer) {
        let place = format!("/paths/{}/{method}/responses/{}", path.replace('/', "~1"), answer.status);
        let (place, response) = self.resolved(&place, || format!("{method} {path} answered {answer:?}"));
        self.valid(&format!("{place}/content/application~1json/schema"), &answer.body);
        assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
        let expected = response.get("headers").and_then(Value::as_object).into_iter().flatten();
        for (name, header) in expected {
            let value =
                answer.header(&name.to_lowercase()).unwrap_or_else(|| panic!("no {name}: {answer:?}"));
            let allowed = header["schema"]["enum"].as_array().unwrap();
            assert!(allowed.contains(&Value::from(value)), "{name}: {value}");
        }
    }

    /// The text fits the schema at `place`.
    #[track_caller]
    fn valid(&self, place: &str, text: &str) {
        let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text:?}"));
        let mut schema = self.document.clone();
        schema["$ref"] = Value::from(format!("#{}", place.replace('{', "%7B").replace('}', "%7D")));
        let schema = jsonschema::validator_for(&schema).unwrap_or_else(|error| panic!("{place}: {error}"));
        let errors: Vec<_> = schema.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:#?} in {text}");
    }

    /// Every example of the description fits the schema beside it. Gives how many there are.
    #[track_caller]
    pub fn examples(&self) -> usize {
        let mut found = 0;
        let responses: BTreeSet<_> = self
            .cases()
            .into_iter()
            .map(|((method, path), status)| {
                format!("/paths/{}/{method}/responses/{status}", path.replace('/', "~1"))
            })
            .collect();
        for response in responses {
            let (place, _) = self.resolved(&response, || response.clone());
            let media = format!("{place}/content/application~1json");
            let content = self.document.pointer(&media).unwrap();
            let named = content.get("examples").and_then(Value::as_object).into_iter().flatten();
            let named = named.map(|(_, example)| match example.get("$ref") {
                Some(place) => &self.document.pointer(&place.as_str().unwrap()[1..]).unwrap()["value"],
                None => &example["value"],
            });
            for example in named.chain(content.get("example")) {
                self.valid(&format!("{media}/schema"), &example.to_string());
                found += 1;
            }
        }
        found
    }

    /// Where something stands that may be a reference, and what stands there.
    #[track_caller]
    fn resolved(&self, place: &str, otherwise: impl Fn() -> String) -> (String, &Value) {
        let found = self.document.pointer(place).unwrap_or_else(|| panic!("not described: {}", otherwise()));
        match found.get("$ref").and_then(Value::as_str) {
            Some(reference) => (reference[1..].to_owned(), self.document.pointer(&reference[1..]).unwrap()),
            None => (place.to_owned(), found),
        }
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// What a schema does not name may not be there.
fn close(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(close);
            if map.contains_key("properties") {
                map.insert("additionalProperties".into(), Value::Bool(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
