"""Set-up and running: check what is there, get the JARs and a Java, run the broker, the topic, the whole pipeline."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakehouse.entry_point import execute

if TYPE_CHECKING:
    from lakehouse.config import Config

EXAMPLES = {
    "check": ("python setup_utils.py", "python setup_utils.py check --config other.ini"),
    "jars": (
        "python setup_utils.py jars",
        'spark-submit --jars "$(python setup_utils.py jars --list)" spark_streaming_delta.py --once',
    ),
    "java": ("python setup_utils.py java",),
    "archive": ("python setup_utils.py archive",),
    "kafka": (
        "python setup_utils.py kafka",
        "python setup_utils.py kafka --brokers 3",
        "VENTES_KAFKA__BOOTSTRAP_SERVERS=localhost:19092 VENTES_DELTA__BASE_PATH=/tmp/other python setup_utils.py kafka",
    ),
    "tls": ("python setup_utils.py tls", "python setup_utils.py tls --host lac.exemple.fr"),
    "topic": (
        "python setup_utils.py topic",
        "python setup_utils.py topic --partitions 8",
        "VENTES_KAFKA__TOPIC=essai python setup_utils.py topic",
    ),
    "run": ("python setup_utils.py run", "python setup_utils.py run --without kafka   (a Kafka of your own)"),
    "package": ("python setup_utils.py package",),
}


def check(_args: argparse.Namespace, config: Config) -> int:
    """Is everything there that a run needs? Each line says what to type when it is not."""
    from lakehouse.setup import checks

    results = checks.run(config)
    marks = {"ok": "ok     ", "missing": "MISSING", "info": "--     "}
    for result in results:
        print(f"{marks[result.status]} {result.name}: {result.detail}")
        if result.fix:
            print(f"        type: {result.fix}")
    missing = sum(result.status == "missing" for result in results)
    if missing:
        print(f"{missing} of {len(results)} are missing.")
    elif any(result.name == checks.PIPELINE for result in results):
        print("Nothing is missing, and the pipeline runs. How it does: python ops_utils.py status")
    else:
        print("Nothing is missing. Next: make run")
    return 1 if missing else 0


def get_jars(args: argparse.Namespace, config: Config) -> int:
    """Fetch the pinned JARs into the cache folder and check every hash. LAKEHOUSE_IVY_SETTINGS=FILE names a mirror."""
    from lakehouse.jvm import compiler, jars
    from lakehouse.lake import spark_session

    if args.list:
        print(",".join(str(path) for path in spark_session.jar_files(config)))
        return 0
    for which in jars.wanted(config):
        print(f"{which}: {len(jars.resolve(config, which))} JARs, every SHA-256 right, in {jars.folder(config, which)}")
    print(f"our own Java: {compiler.jar(config, compiler.CORE)}")
    return 0


def get_java(_args: argparse.Namespace, config: Config) -> int:
    """Find a Java 17 or newer; when there is none, get one (package manager as root, else the cache folder)."""
    from lakehouse.errors import SetupError
    from lakehouse.jvm import java

    try:
        found = java.find(config)
    except SetupError:
        found = java.install(config)
    if passed_over := java.unusable_java_home(config):
        print(f"warning: {passed_over} Type: unset JAVA_HOME", file=sys.stderr)
    print(f"Java {found.version}: {found.home}")
    return 0


def archive(_args: argparse.Namespace, config: Config) -> int:
    """Keep the classes of Spark and Kafka in a form that Java starts from in half the time. A short run makes it, once."""
    from lakehouse.errors import SetupError
    from lakehouse.jvm import class_archive
    from lakehouse.setup import class_archive_training

    if not class_archive.are_made(class_archive.paths(config)):
        print(
            "The classes of Spark and Kafka are archived: a minute or two, once for these JARs and this Java",
            flush=True,
        )
    try:
        class_archive_training.make(config)
    except SetupError as error:  # a cache: nothing is wrong without it, but for the waiting
        print(f"{error}\nSpark and Kafka start without the archives, some seconds slower. Nothing else changes.")
        return 0
    print(f"Class archive: {class_archive.path(config)}")
    return 0


def kafka(args: argparse.Namespace, config: Config) -> int:
    """Run the embedded Kafka in the foreground, and create the topic when it is up. Ctrl-C stops it cleanly."""
    from dataclasses import replace

    from lakehouse.kafka import options
    from lakehouse.kafka.broker import serve

    if args.brokers:
        config = replace(config, kafka=replace(config.kafka, brokers=args.brokers))
        print(f"for the other scripts: export VENTES_KAFKA__BOOTSTRAP_SERVERS={','.join(options.servers(config))}")
    return serve.run(config)


def tls(args: argparse.Namespace, config: Config) -> int:
    """Make what a locked-down pipeline needs and is missing: an authority, certificates, a password for each user."""
    from lakehouse.kafka.broker import certificates as made

    for path in made.make(config, args.host):
        print(f"made {path}")
    print(f"{config.kafka.tls_dir}: complete. To use it, set [KAFKA] security_protocol = SASL_SSL")
    return 0


def topic(args: argparse.Namespace, config: Config) -> int:
    """Create the topic when it is missing, and describe it; add partitions when told to. Never deletes or changes it."""
    from lakehouse.kafka.clients import add_partitions, describe_topic, earliest_and_latest_offsets, ensure_topic

    created = ensure_topic(config)
    if args.partitions and add_partitions(config, args.partitions):
        print(f"partitions were added: {args.partitions} now")
    found = describe_topic(config)
    print(f"{found.name}: {'created' if created else 'exists'} at {config.kafka.bootstrap_servers}")
    print(f"  {found.partitions} partitions, {found.replication_factor} copies, {found.in_sync} of them in step")
    for key in ("message.timestamp.type", "min.insync.replicas", "retention.ms", "max.message.bytes"):
        print(f"  {key} = {found.settings.get(key, '?')}")
    for partition, (earliest, latest) in sorted(earliest_and_latest_offsets(config).items()):
        print(f"  partition {partition}: offsets {earliest} to {latest} ({latest - earliest} messages)")
    return 0


def run(args: argparse.Namespace, config: Config) -> int:
    """Run the Procfile's processes together. Ctrl-C or SIGTERM ends them in order; the next run goes on from there."""
    from lakehouse.setup import pipeline

    return pipeline.run(config, procfile=args.procfile, without=args.without)


def package(_args: argparse.Namespace, _config: Config) -> int:
    """Build what a Spark cluster needs into dist: the wheel, and the Python packages of executors and of drivers."""
    from lakehouse.setup import packaging

    for path in packaging.build():
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    return 0


BODIES = {
    "check": check,
    "jars": get_jars,
    "java": get_java,
    "archive": archive,
    "kafka": kafka,
    "tls": tls,
    "topic": topic,
    "run": run,
    "package": package,
}


def parser() -> argparse.ArgumentParser:
    """The verbs; without one, ``check``."""
    from lakehouse import cli

    examples = [example for verb in EXAMPLES for example in EXAMPLES[verb]]
    made = cli.parser("setup_utils.py", f"{__doc__} Without a verb: check.", examples)
    made.set_defaults(body=check)
    verbs = made.add_subparsers(title="verbs", metavar="VERB")
    for verb, body in BODIES.items():
        text = (body.__doc__ or "").strip()
        one = verbs.add_parser(
            verb, help=text, description=text, allow_abbrev=False,
            epilog="examples:\n" + "\n".join(f"  {example}" for example in EXAMPLES[verb]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        one.add_argument(
            "--config", metavar="FILE", default=argparse.SUPPRESS, help="settings file (default: config.ini)"
        )
        one.set_defaults(body=body)
        if verb == "jars":
            one.add_argument(
                "--list", action="store_true", help="print Spark's JARs, comma-separated, for spark-submit"
            )
        if verb == "kafka":
            one.add_argument("--brokers", metavar="N", type=int, choices=range(1, 10), help="so many ([KAFKA] brokers)")
        if verb == "tls":
            one.add_argument(
                "--host", metavar="NAME", action="append", default=[],
                help="a name of this machine for the certificates, besides localhost; may be repeated",
            )  # fmt: skip
        if verb == "topic":
            one.add_argument(
                "--partitions", metavar="N", type=int, help="bring the topic to so many partitions; never to fewer"
            )
        if verb == "run":
            one.add_argument("--procfile", metavar="FILE", help="what to run (default: Procfile beside the scripts)")
            one.add_argument(
                "--without", metavar="NAME", action="append", default=[], help="leave a process out; may be repeated"
            )
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script with ``argv`` (default: the process's own) and return its exit code."""
    from lakehouse import cli

    return cli.run(parser(), lambda args, config: args.body(args, config), argv)


if __name__ == "__main__":
    execute(main)
