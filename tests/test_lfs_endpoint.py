"""Where the Git LFS server of a Git remote is, and what git's configuration says about the way there."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import git
from hypothesis import example, given
from hypothesis import strategies as st

from gittrack.content_remote.lfs_endpoint import Endpoint, SshServer, find_endpoint, rewrite, show_url, split_url
from gittrack.content_remote.lfs_settings import HttpSettings, find_extra_headers, find_settings
from gittrack.errors import InvalidInput
from gittrack.gitconfig import GitConfig, collect
from gittrack.transport.remote import Remote


def find(url: str, *entries: tuple[str, str], push: str | None = None, upload: bool = False) -> Endpoint | None:
    return find_endpoint(collect(entries), Remote("origin", url, push or url, ""), "upload" if upload else "download")


HTTP = {
    "https://host/foo/bar": "https://host/foo/bar.git/info/lfs",
    "https://host/foo/bar.git": "https://host/foo/bar.git/info/lfs",
    "https://host/foo/bar/": "https://host/foo/bar.git/info/lfs",
    "http://host:8080/bar.git": "http://host:8080/bar.git/info/lfs",
    "https://[::1]:8443/bar.git": "https://[::1]:8443/bar.git/info/lfs",
    "git://host/foo/bar.git": "https://host/foo/bar.git/info/lfs",
}


@pytest.mark.parametrize("url", HTTP)
def test_the_server_is_guessed_from_the_remote(url: str) -> None:
    found = find(url)
    assert found is not None
    assert (found.url, found.ssh, found.user, found.password) == (HTTP[url], None, None, None)


SSH = {
    "git@host:foo/bar.git": (SshServer("host", "foo/bar.git", "git"), "https://host/foo/bar.git/info/lfs"),
    "host:foo/bar": (SshServer("host", "foo/bar"), "https://host/foo/bar.git/info/lfs"),
    "host:/srv/bar.git": (SshServer("host", "/srv/bar.git"), "https://host/srv/bar.git/info/lfs"),
    "ssh://git@host/foo/bar.git": (SshServer("host", "/foo/bar.git", "git"), "https://host/foo/bar.git/info/lfs"),
    "ssh://host:2222/~ada/x": (SshServer("host", "~ada/x", None, 2222), "https://host/~ada/x.git/info/lfs"),
    "git+ssh://host/x.git": (SshServer("host", "/x.git"), "https://host/x.git/info/lfs"),
    "ssh://[::1]:22/x.git": (SshServer("::1", "/x.git", None, 22), "https://[::1]/x.git/info/lfs"),
    "git@[::1]:x.git": (SshServer("::1", "x.git", "git"), "https://[::1]/x.git/info/lfs"),
    "git@[host:2222]:x.git": (SshServer("host", "x.git", "git", 2222), "https://host/x.git/info/lfs"),
    "my_alias:a b's.git": (SshServer("my_alias", "a b's.git"), "https://my_alias/a%20b%27s.git/info/lfs"),
}


@pytest.mark.parametrize("url", SSH)
def test_a_remote_over_ssh_is_asked_there(url: str) -> None:
    found = find(url)
    assert found is not None
    assert (found.ssh, found.url) == SSH[url]


@pytest.mark.parametrize(
    "url", ["/srv/hub.git", "../hub", "file:///srv/hub.git", "hub", "C:\\hub", "C:/hub", "ext::sh -c x", "ftp://host/x"]
)
def test_a_path_has_no_server(url: str) -> None:
    assert find(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "ssh://-oProxyCommand=evil/x",
        "-oProxyCommand=evil:x",
        "ssh://-u@host/x",
        "host:-x",
        "ssh://host/",
        "ssh://host:0/x",
        "ssh://host:99999/x",
        "ssh://ho st/x",
        "ssh://ho;st/x",
        "ssh://host/x%0ay",
        "host:x\ny",
        "https://host:99999/x",
        "https://ho st/x",
        "https://host/a b",
        "https://host\\@evil/x",
        "https:///x",
        "https://ada%0a@host/x",
    ],
)
def test_addresses_that_could_mean_something_else_are_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        find(url)
    assert "\n" not in caught.value.message


def test_the_users_settings_count_in_git_lfss_order() -> None:
    settings = [
        ("lfs.pushurl", "https://a/1"),
        ("lfs.url", "https://a/2/"),
        ("remote.origin.lfspushurl", "https://a/3"),
        ("remote.origin.lfsurl", "https://a/4"),
        ("remote.other.lfsurl", "https://a/5"),
    ]
    for number in range(5):
        rest = settings[number:]
        down, up = find("https://git/x", *rest), find("https://git/x", *rest, upload=True)
        assert down is not None
        assert up is not None
        expected = ["https://a/1", "https://a/2", "https://a/3", "https://a/4", "https://git/x.git/info/lfs"]
        assert up.url == expected[number]
        assert down.url == expected[[1, 1, 3, 3, 4][number]]


def test_a_setting_works_for_a_remote_that_is_a_path_and_may_name_ssh() -> None:
    found = find("/srv/hub.git", ("lfs.url", "ssh://git@host/x"))
    assert found is not None
    assert (found.url, found.ssh) == ("https://host/x", SshServer("host", "/x", "git"))
    with pytest.raises(InvalidInput, match=r"lfs\.url is no address"):
        find("https://git/x", ("lfs.url", "ftp://host/content"))


def test_where_pushes_go_is_where_uploads_go() -> None:
    up = find("https://git/x", push="https://other/y", upload=True)
    assert up is not None
    assert up.url == "https://other/y.git/info/lfs"


def test_the_password_of_the_address_is_for_its_own_host_alone() -> None:
    own = find("https://ada:p%40ss@git/x.git")
    assert own == Endpoint("https://git/x.git/info/lfs", "https://git/x.git", "ada", "p@ss", guess="there")
    same = find("https://ada:pw@git/x.git", ("lfs.url", "https://git/lfs"))
    assert same == Endpoint("https://git/lfs", "https://git/x.git", "ada", "pw")
    for other in ("https://lfs/x", "https://git:8443/x", "http://git/x"):
        found = find("https://ada:pw@git/x.git", ("lfs.url", other))
        assert found == Endpoint(other, other, None, None)


def test_instead_of_is_applied_as_git_does(repo: object) -> None:
    entries = [
        ("url.https://long/.insteadOf", "gh:ml/"),
        ("url.https://short/.insteadOf", "gh:"),
        ("url.ssh://push/.pushInsteadOf", "gh:"),
    ]
    here = Path.cwd()
    for key, value in entries:
        git(here, "config", "--add", key, value)
    for url in ("gh:ml/x", "gh:x", "https://gh:x", "other:x"):
        git(here, "config", "remote.origin.url", url)
        config = collect([*entries, ("remote.origin.url", url)])
        assert rewrite(url, config, pushing=False) == git(here, "remote", "get-url", "origin")
        assert rewrite(url, config, pushing=True) == git(here, "remote", "get-url", "--push", "origin")


def test_what_is_shown_of_an_address_is_no_secret() -> None:
    assert show_url("https://ada:pw@host:8443/a/b?sig=x#y") == "https://host:8443/a/b"
    assert show_url("https://[::1]/a") == "https://[::1]/a"
    assert show_url("https://host/\x1b[31m") == "an address that is no http URL"


@given(st.text(max_size=60))
@example("0:")
def test_any_text_is_an_address_or_refused(text: str) -> None:
    for url in (text, f"https://{text}", f"ssh://{text}", f"https://host/{text}"):
        try:
            found = find(url)
        except InvalidInput:
            continue
        if found is not None:
            assert split_url(found.url) is not None
            assert "@" not in (split_url(found.url) or [""] * 2)[1]


def ask_settings(url: str, *entries: tuple[str, str]) -> HttpSettings:
    parts = split_url(url)
    assert parts is not None
    return find_settings(collect(entries), parts, remote="origin", environment={})


MATCHES = [
    ("https://host", "https://host/x", True),
    ("https://host/", "https://host:443/x", True),
    ("https://host/x", "https://host/x/y", True),
    ("https://host/x", "https://host/xy", False),
    ("https://host/x/", "https://host/x", True),
    ("https://*.host", "https://a.host/x", True),
    ("https://*.host", "https://a.b.host/x", False),
    ("https://*.host", "https://host/x", False),
    ("http://host", "https://host/x", False),
    ("https://host:8443", "https://host/x", False),
    ("https://HOST", "https://host/x", True),
    ("https://ada@host", "https://host/x", False),
    ("host", "https://host/x", False),
    ("https://host:bad", "https://host/x", False),
]


@pytest.mark.parametrize(("pattern", "url", "fits"), MATCHES)
def test_settings_for_a_url_are_matched_as_git_does(repo: object, pattern: str, url: str, fits: bool) -> None:
    entries = [("http.proxy", "general"), (f"http.{pattern}.proxy", "special")]
    found = ask_settings(url, *entries).proxy
    assert found == ("special" if fits else "general")
    for key, value in entries:
        git(Path.cwd(), "config", key, value)
    assert git(Path.cwd(), "config", "--get-urlmatch", "http.proxy", url) == found


def test_the_setting_that_fits_best_counts() -> None:
    entries = [
        ("http.https://a.host/x/y.proxy", "path"),
        ("http.https://a.host.proxy", "host"),
        ("http.https://*.host/x/y/z.proxy", "star"),
    ]
    assert ask_settings("https://a.host/x/y/z", *entries).proxy == "path"
    assert ask_settings("https://a.host/x", *entries).proxy == "host"
    assert ask_settings("https://b.host/x/y/z", *entries).proxy == "star"


def test_all_that_is_set_about_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    config = [
        ("http.sslVerify", "false"),
        ("http.sslCAInfo", "~/ca.pem"),
        ("http.sslCert", "/c.pem"),
        ("http.sslKey", "/k.pem"),
        ("http.lowSpeedLimit", "1k"),
        ("http.lowSpeedTime", "7"),
        ("remote.origin.proxy", ""),
    ]
    assert ask_settings("https://host/x", *config) == HttpSettings(
        "", False, "/home/ada/ca.pem", None, "/c.pem", "/k.pem", 1024, 7
    )
    assert ask_settings("https://host/x") == HttpSettings()
    parts = split_url("https://host/x")
    assert parts is not None
    environment = {"GIT_SSL_NO_VERIFY": "1", "GIT_SSL_CAINFO": "/e.pem", "GIT_HTTP_LOW_SPEED_TIME": "9"}
    found = find_settings(collect(config[1:]), parts, remote="origin", environment=environment)
    assert (found.verify, found.ca_file, found.low_speed_time) == (False, "/e.pem", 9)


def test_extra_headers_add_up_and_an_empty_one_forgets() -> None:
    parts = split_url("https://host/x")
    assert parts is not None
    config = collect(
        [("http.extraHeader", "A: 1"), ("http.extraHeader", "B: 2"), ("http.https://host/.extraHeader", "a: 3")]
    )
    assert find_extra_headers(config, parts, named_only=False) == {"B": "2", "a": "3"}
    assert find_extra_headers(config, parts, named_only=True) == {"a": "3"}
    config = collect([("http.extraHeader", "A: 1"), ("http.extraHeader", ""), ("http.extraHeader", "B: 2")])
    assert find_extra_headers(config, parts, named_only=False) == {"B": "2"}
    with pytest.raises(InvalidInput):
        find_extra_headers(collect([("http.extraHeader", "A: 1\nB: 2")]), parts, named_only=False)
    assert find_extra_headers(GitConfig(), parts, named_only=False) == {}
