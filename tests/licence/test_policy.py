import pytest

from fmcycle.errors import InputError
from fmcycle.licence.policy import Policy, family, spelled

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


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("CC BY-SA 4.0", "share-alike"),
        ("cc-by-sa", "share-alike"),
        ("CC BY-NC-SA 4.0", "non-commercial"),
        ("https://creativecommons.org/licenses/by-nc/4.0/", "non-commercial"),
        ("https://creativecommons.org/licenses/by/4.0/legalcode", "attribution"),
        ("Creative Commons Attribution-NonCommercial-ShareAlike 3.0 Unported", "non-commercial"),
        ("Creative Commons Attribution 4.0 International", "attribution"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "public-domain"),
        ("CC0", "public-domain"),
        ("public domain", "public-domain"),
        ("GPLv2", "share-alike"),
        ("GNU General Public License v3", "share-alike"),
        ("GNU Lesser General Public License", "share-alike"),
        ("gpl", "share-alike"),
        ("Apache License, Version 2.0", "permissive"),
        ("Apache Software License", "permissive"),
        ("3-Clause BSD License", "permissive"),
        ("The MIT License", "permissive"),
        ("non-commercial use only", "non-commercial"),
        ("research only", "non-commercial"),
        ("SSPL-1.0", "share-alike"),
        ("free for education, research and development incl. commercial", "unknown"),
    ],
)
def test_names_are_read_as_people_and_packages_write_them(written, kind):
    assert family(written) == kind


@pytest.mark.parametrize(
    "written", ["package MIT; pictures CC BY-SA 3.0", "MIT; half of it from elsewhere (CC BY-NC 4.0)", "GPLv2 | EPLv1"]
)
def test_a_licence_in_the_middle_of_words_counts_where_unknown_words_may_enter(written):
    assert not Policy().permits(written) and not Policy().permits(f"MIT) AND {written}")
    assert Policy().permits("MIT (its author)") and not Policy(["permissive"]).permits("MIT (its author)")


def test_names_of_spdx_stay_as_they_are():
    names = [name for names in KINDS.values() for name in names] + ["CC-BY-NC-ND-3.0-IGO", "PolyForm-Noncommercial-1.0.0", "GPL-2.0+"]
    assert [spelled(name) for name in names] == names
    assert spelled("MPL-2.0 AND (Apache-2.0 OR MIT)") == "MPL-2.0 AND (Apache-2.0 OR MIT)"


def test_a_misspelled_policy_is_refused():
    with pytest.raises(InputError, match="permisive is neither a family"):
        Policy(["permisive"])
