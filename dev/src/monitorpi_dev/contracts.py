"""The generated files: schemas, AsyncAPI, OpenAPI, examples, a dashboard, pages of the docs.

``generate`` writes them, ``check`` compares: the message classes and settings models are the only
source, and what stands in the repository never drifts from them.
"""

from __future__ import annotations

import argparse
import json
import sys

from monitorpi_capture.engine.ebpf.objectfile import OBJECT
from monitorpi_cli.checkout import root
from monitorpi_cli.stack import broker
from monitorpi_common.examples import EXAMPLES
from monitorpi_common.messages import COMMANDS, OWNED, SHARED
from monitorpi_dev import bpf_build, bpf_header
from monitorpi_dev.reference.attributes import DescribedSchema
from monitorpi_dev.reference.configuration_page import configuration
from monitorpi_dev.reference.grafana import SITE, SITES, dashboard
from monitorpi_dev.reference.licences_page import licences
from monitorpi_dev.reference.schemas import as_json, asyncapi, schema
from monitorpi_dev.reference.topics_page import topics
from monitorpi_history.sources import openapi
from monitorpi_history.sources.tables import TABLES


def files() -> dict[str, str]:
    """Return every generated file, by its path in the checkout."""
    made: dict[str, str] = {}
    for kind in (*OWNED, *SHARED):
        made[f"contracts/{kind.__name__.lower()}.schema.json"] = as_json(schema(kind))
    for service, commands in COMMANDS.items():
        for name, args in commands.items():
            path = f"contracts/commands/{service.value}.{name}.schema.json"
            made[path] = as_json(args.model_json_schema(schema_generator=DescribedSchema))
    for topic, message in EXAMPLES:
        path = f"contracts/examples/{topic.service}.{topic.kind}.json"
        made[path] = as_json({"topic": str(topic), "payload": json.loads(message.encode())})
    made["contracts/asyncapi.yaml"] = asyncapi()
    made["contracts/history.openapi.json"] = as_json(openapi.document(TABLES))
    made["contracts/grafana-dashboard.json"] = as_json(dashboard(SITE))
    made["contracts/grafana-sites.json"] = as_json(dashboard(SITES))
    made[str(bpf_header.HEADER.relative_to(root()))] = bpf_header.header()
    made["docs/topics.md"] = topics()
    made["docs/configuration.md"] = configuration()
    made["docs/licences.md"] = licences()
    made["broker/acl"] = broker.acl()
    made["broker/mosquitto.conf"] = broker.configuration(
        [f"{broker.DEFAULT_PORT} 0.0.0.0"], "/broker", "mosquitto"
    )
    return made


def generate(argv: list[str]) -> int:
    """Write the generated files, or only print which have drifted."""
    parser = argparse.ArgumentParser(prog="./monitorpi generate", description=generate.__doc__)
    parser.add_argument("--check", action="store_true", help="only compare; exit 1 if any has")
    only_compare = parser.parse_args(argv).check
    drifted = []
    wanted = files()
    for name, text in wanted.items():
        path = root() / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        drifted.append(name)
        if not only_compare:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    stale = [
        str(path.relative_to(root()))
        for path in (root() / "contracts").rglob("*.*")
        if str(path.relative_to(root())) not in wanted
    ]
    for name in drifted:
        print(f"{name}: {'drifted' if only_compare else 'written'}")
    for name in stale:
        print(f"{name}: nothing generates it any more; remove it")
    drifted += _compiled(only_compare=only_compare)
    failed = bool(stale) or (bool(drifted) and only_compare)
    if failed:
        print("generated files have drifted: run ./monitorpi generate and commit the result")
    return 1 if failed else 0


def _compiled(*, only_compare: bool) -> list[str]:
    """Compare the kernel's part of capture with its source, or make it anew."""
    name = str(OBJECT.relative_to(root()))
    try:
        stale = not bpf_build.is_current() if only_compare else bpf_build.build()
    except bpf_build.BuildError as error:
        print(f"{name}: {error}")
        return [name]
    if not stale:
        return []
    print(f"{name}: {'drifted' if only_compare else 'written'}")
    return [name] if only_compare else []


if __name__ == "__main__":
    raise SystemExit(generate(sys.argv[1:]))
