import os
import subprocess
import sys

import pytest

# two modules of one folder that name the same data file, and one that names a source file as text
FILES = {
    "acme/__init__.py": "",
    "acme/one.py": 'PAGE = "page.html"\n',
    "acme/page.html": "<p>",
    "pyproject.toml": '[tool.fmcycle]\npackages = ["acme"]\n',
}
FILES |= {
    "acme/two.py": 'PAGE, ENTRY = "page.html", "three.py"\n',
    "acme/three.py": "",
    "acme/top.py": "from acme import one, three, two\n",
}
CODE = "from fmcycle.config import code_digest; s = {'_target_': 'acme.top.X'}; print(code_digest.digest(s), sorted(code_digest.files(s)))"


@pytest.fixture
def acme(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_digest_does_not_depend_on_the_order_in_which_modules_are_met(acme, root):
    said = set()
    for seed in range(8):
        environment = os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": f"{root / 'src'}{os.pathsep}{acme}"}
        done = subprocess.run([sys.executable, "-c", CODE], cwd=acme, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        said.add(done.stdout)
    assert len(said) == 1
    files = ["acme.one/one.py", "acme.one/page.html", "acme.three/three.py", "acme.top/top.py", "acme.two/two.py", "acme/__init__.py"]
    assert said.pop().split(" ", 1)[1].strip() == str(files)
