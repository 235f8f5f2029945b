"""The tests on every Python that the README names: `make matrix`."""

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = True


@nox.session(python=["3.10", "3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    session.chdir("..")
    session.install("-r", "requirements.txt", "-r", "tests/requirements.txt")
    session.run("python", "-m", "pytest", *session.posargs)
