"""Entity linking: titles of items to resources of DBpedia, with scores, reasons and corrections."""

from kg.linking.corrections import correct, effective_links
from kg.linking.link import Linked, Nil, Resources, Rules, Unlinked, link_items
from kg.linking.report import link_report
from kg.linking.run import LinkResult, link_data_set
from kg.linking.score import DOMAINS, Query, Weights

__all__ = [
    "DOMAINS", "LinkResult", "Linked", "Nil", "Query", "Resources", "Rules", "Unlinked", "Weights",
    "correct", "effective_links", "link_data_set", "link_items", "link_report",
]  # fmt: skip
