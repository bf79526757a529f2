"""Asks Prometheus' own strict OpenMetrics parser about the text of a scrape.

A question is `{"text"}`; the answer has `samples`, a list of [name, labels, value], and `types`.
"""

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from wire import Refused, verdict


def judge(question):
    try:
        families = list(text_string_to_metric_families(question["text"]))
    except ValueError as error:
        raise Refused(str(error)) from error
    return {
        "types": {family.name: family.type for family in families},
        "samples": [[s.name, s.labels, s.value] for family in families for s in family.samples],
    }


verdict(judge)
