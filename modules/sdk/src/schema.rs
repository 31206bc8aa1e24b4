//! Schemas of parameters, in the subset of JSON Schema that nodes enforce.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

/// Keywords a node knows; it refuses a manifest with any other.
const KEYWORDS: &[&str] = &[
    "type",
    "properties",
    "required",
    "additionalProperties",
    "enum",
    "const",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "items",
    "minItems",
    "maxItems",
    "default",
    "title",
    "description",
    "examples",
    "$schema",
    "format",
];

/// The schema that schemars derives, with everything inline.
pub(crate) fn of<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().with(|s| {
        s.inline_subschemas = true;
        s.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>()
}

/// A method's documentation and the schema of its parameters, as the manifest
/// carries them: the schema is empty when the method takes no parameters.
/// Names the keyword that a node would refuse.
pub(crate) fn split(schema: Schema) -> Result<(String, String), String> {
    let mut value = schema.to_value();
    simplify(&mut value)?;
    let root = value.as_object_mut().ok_or("the parameters must be a struct")?;
    root.remove("title");
    let doc = match root.remove("description") {
        Some(Value::String(s)) => s.split_whitespace().collect::<Vec<_>>().join(" "),
        _ => String::new(),
    };
    let takes_none = root.get("properties").and_then(Value::as_object).is_none_or(Map::is_empty);
    if takes_none {
        return Ok((doc, String::new()));
    }
    root.entry("additionalProperties").or_insert(Value::Bool(false));
    Ok((doc, value.to_string()))
}

fn simplify(schema: &mut Value) -> Result<(), String> {
    let Some(map) = schema.as_object_mut() else { return Ok(()) };
    one_of_constants(map);
    without_null(map);
    if let Some(Value::String(text)) = map.get_mut("description") {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    if let Some(bad) = map.keys().find(|k| !KEYWORDS.contains(&k.as_str())) {
        return Err(format!("nodes do not enforce the JSON Schema keyword {bad:?}; leave it out"));
    }
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        properties.values_mut().try_for_each(simplify)?;
    }
    map.get_mut("items").map_or(Ok(()), simplify)
}

/// An enum whose variants have doc comments: `oneOf` constants become one
/// `enum`, and the variants' docs join the description.
fn one_of_constants(map: &mut Map<String, Value>) {
    let Some(Value::Array(cases)) = map.get("oneOf") else { return };
    let mut names = Vec::new();
    let mut docs = Vec::new();
    for case in cases {
        let doc = case.get("description").and_then(Value::as_str).unwrap_or_default();
        let mut listed = case.get("enum").and_then(Value::as_array).cloned().unwrap_or_default();
        listed.extend(case.get("const").cloned());
        if listed.is_empty() {
            return;
        }
        for name in listed {
            if let (Some(name), false) = (name.as_str(), doc.is_empty()) {
                docs.push(format!("{name}: {}", doc.trim_end_matches('.')));
            }
            names.push(name);
        }
    }
    map.remove("oneOf");
    map.insert("type".into(), "string".into());
    map.insert("enum".into(), Value::Array(names));
    if !docs.is_empty() {
        let own = map.get("description").and_then(Value::as_str).unwrap_or_default();
        let text = [own, &docs.join("; ")].join(" ");
        map.insert("description".into(), text.trim().into());
    }
}

/// An `Option`: absent is how parameters say "not given", so null goes.
fn without_null(map: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = map.get_mut("type") {
        types.retain(|t| t != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            map.insert("type".into(), only);
        }
    }
    if map.get("default").is_some_and(Value::is_null) {
        map.remove("default");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    /// Does a thing,
    /// in two lines.
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Params {
        /// How wide.
        #[schemars(range(min = 1, max = 9))]
        width: Option<u32>,
        #[serde(default)]
        mode: Mode,
    }

    #[derive(Deserialize, JsonSchema, serde::Serialize, Default)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        #[default]
        /// Quick.
        Fast,
        /// Nice.
        Good,
    }

    #[test]
    fn the_struct_says_it_all() {
        let (doc, schema) = split(of::<Params>()).unwrap();
        assert_eq!(doc, "Does a thing, in two lines.");
        let schema: Value = serde_json::from_str(&schema).unwrap();
        let want = serde_json::json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "width": {"type": "integer", "format": "uint32", "minimum": 1, "maximum": 9, "description": "How wide."},
                "mode": {"type": "string", "enum": ["fast", "good"], "default": "fast", "description": "fast: Quick; good: Nice"},
            },
        });
        assert_eq!(schema, want);
    }

    #[test]
    fn unenforced_keywords_are_refused() {
        #[derive(Deserialize, JsonSchema)]
        #[allow(dead_code)]
        struct Bad {
            #[schemars(regex(pattern = "^a"))]
            name: String,
        }
        assert!(split(of::<Bad>()).unwrap_err().contains("pattern"));
    }
}
