import pytest

from fmcycle.error import InputError
from fmcycle.licence import Policy, family

KINDS = {
    "public-domain": ["CC0-1.0", "Unlicense", "PDDL-1.0"],
    "permissive": ["MIT", "Apache-2.0", "BSD-3-Clause", "0BSD", "PSF-2.0", "ISC", "mit"],
    "attribution": ["CC-BY-4.0", "CC-BY-3.0-US", "ODC-By-1.0"],
    "share-alike": ["CC-BY-SA-4.0", "GPL-2.0-only", "GPL-3.0+", "AGPL-3.0-or-later", "LGPL-2.1-only", "GFDL-1.3-or-later", "ODbL-1.0"],
    "non-commercial": ["CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC-BY-NC-ND-3.0"],
    "no-derivatives": ["CC-BY-ND-4.0"],
    "unknown": ["unknown", "LicenseRef-feedback", "MITT", ""],
}


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for kind, names in KINDS.items() for name in names])
def test_every_name_has_its_family(name, kind):
    assert family(name) == kind


@pytest.mark.parametrize(
    ("expression", "enters"),
    [
        ("MIT OR CC-BY-NC-4.0", True),
        ("MIT AND CC-BY-NC-4.0", False),
        ("(GPL-2.0-only OR MIT) AND Apache-2.0", True),
        ("GPL-2.0-only OR (MIT AND CC-BY-NC-4.0)", False),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-3.0-only WITH Classpath-exception-2.0 OR MIT", True),
        ("MIT CC-BY-NC-4.0", False),
        ("(MIT", True),
        ("MIT AND", False),
        ("", False),
        ("CC-BY-ND-4.0", True),
    ],
)
def test_an_expression_is_read_as_spdx_means_it(expression, enters):
    assert Policy(["permissive", "CC-BY-ND-4.0"]).permits(expression) is enters


def test_a_misspelled_policy_is_refused():
    with pytest.raises(InputError, match="permisive is neither a family"):
        Policy(["permisive"])
