"""Definitions as JSON text for people: one graph operation a line, everything else indented by two."""
import json


def text_of(definition):
    return "{\n" + ",\n".join("  %s: %s" % (json.dumps(k), block(k, v)) for k, v in definition.items()) + "\n}\n"


def block(key, value):
    if key == "x_kevolve":
        inner = ",\n".join("    %s: %s" % (json.dumps(k), graph(v) if k == "graph" else line(v)) for k, v in value.items())
        return "{\n" + inner + "\n  }"
    if key in ("axes", "inputs", "outputs") and value:
        return "{\n" + ",\n".join("    %s: %s" % (json.dumps(k), line(v)) for k, v in value.items()) + "\n  }"
    return line(value)


def graph(value):
    rows = lambda items: "[\n" + ",\n".join("        " + line(item) for item in items) + "\n      ]" if items else "[]"
    parts = {"version": line(value["version"]), "inputs": rows(value["inputs"]), "nodes": rows(value["nodes"]),
             "outputs": line(value["outputs"])}
    return "{\n" + ",\n".join("      %s: %s" % (json.dumps(k), v) for k, v in parts.items()) + "\n    }"


def line(value):
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
