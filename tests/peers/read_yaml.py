"""Prints the documents of a YAML file as one JSON array. Refuses a key that is written twice."""

import json
import sys

import yaml


class Strict(yaml.SafeLoader):
    pass


def mapping(loader, node):
    pairs = loader.construct_pairs(node, deep=True)
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise SystemExit(f"{key!r} is written twice in one mapping, line {node.start_mark.line + 1}")
    return dict(pairs)


Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)

with open(sys.argv[1], encoding="utf-8") as file:
    json.dump(list(yaml.load_all(file, Strict)), sys.stdout)
