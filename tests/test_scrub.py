"""What is taken for a secret, what is not, and that replacing it is quick and leaves everything else as it was."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.scrub import SCRUBBED, Scrubber, has_secret, is_secret_key, is_secret_name

# Put together here so that no scanner takes this file for a leak.
GITHUB = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
OPENAI = "sk-" + "proj-" + "Abc123Def456Ghi789Jkl012Mno345"
AWS = "AKIA" + "IOSFODNN7EXAMPL3"
JWT = "eyJhbGciOiJIUzI1NiJ9" + "." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0" + "." + "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
KEY_BODY = "\n".join(["MIIEpAIBAAKCAQEA0Zx9fJ3kq1b2n3m4v5c6x7z8a9s0d1f2g3h4j5k6l7q8w9e0"] * 4 + ["qZt="])
KEY_BLOCK = "-----BEGIN RSA " + "PRIVATE KEY-----\n" + KEY_BODY + "\n-----END RSA " + "PRIVATE KEY-----"

FORMATS = [
    GITHUB,
    "gho_" + "b" * 36,
    "ghs_" + "C3" * 18,
    "github_pat_" + "11ABCDEFG0abcdefghijkl_" + "mnopqrstuv" * 5,
    "glpat-" + "xYz123abcDEF456ghi78",
    "xoxb-" + "123456789012-1234567890123-AbCdEfGhIjKl",
    OPENAI,
    "sk-" + "T3BlbkFJ" * 6,
    "sk-ant-" + "api03-" + "a1b2c3d4e5" * 4,
    "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYz12345678",
    "AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q",
    "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "npm_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    "pypi-" + "AgEIcHlwaS5vcmc" + "Ab12" * 12,
    AWS,
    JWT,
    "SG." + "a1b2c3d4e5f6g7h8i9j0k1" + "." + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0u1V",
]

SECRET_KEYS = (
    "api_key apiKey API_KEY openai_api_key OPENAI_API_KEY model.api_key cfg/api_key apikey api_key_1 password "
    "db.password db_password DB_PASS passwd passphrase pwd token auth_token authToken hf_token HF_TOKEN HFToken "
    "access_token refreshToken WANDB_API_KEY wandb_key GITHUB_TOKEN secret client_secret clientSecret secret_key "
    "aws_secret_access_key AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY private_key privateKey PGPASSWORD MYSQL_PWD "
    "SSHPASS credentials connection_string SECRET_KEY_BASE password_prod github_pat MLFLOW_TRACKING_PASSWORD "
    "hub_token use_auth_token _authToken acme_token "
)

PLAIN_KEYS = (
    "max_tokens max_token token_count tokenizer tokenizer_name num_tokens n_tokens tokens n_secret_layers key_dim "
    "pad_token eos_token bos_token_id mask_token unk_token sep_token cls_token add_eos_token special_token "
    "loss_per_token author authors authority auth_method key keys sort_key primary_key query_key key_id cache_key "
    "monkey keyword password_file password_length token_path api_key_file secret_santa_rounds passes forward_pass "
    "num_passes compass bypass hidden_dim lr learning_rate patch spat_dim patience secretary tokenized pwd_dir "
    "initializer_token placeholder_token image_token video_token new_tokens tokens_per_second decoder_start_token "
    "forced_bos_token low_pass pass_rate "
)


@pytest.mark.parametrize("name", SECRET_KEYS.split())
def test_secret_looking_names(name: str) -> None:
    assert is_secret_key(name)
    assert Scrubber({}).value(name, "hunter2hunter2") == SCRUBBED


@pytest.mark.parametrize("name", PLAIN_KEYS.split())
def test_names_that_machine_learning_needs(name: str) -> None:
    assert not is_secret_key(name)
    assert Scrubber({}).value(name, "hunter2hunter2") == "hunter2hunter2"


@pytest.mark.parametrize("value", [1, 0.5, True, False, None, 50256])
def test_only_strings_are_scrubbed(value: object) -> None:
    scrubber = Scrubber({})
    assert scrubber.value("api_key", value, where="params") is value
    assert scrubber.scrubbed == ()


@pytest.mark.parametrize("value", ["", "none", "None", "true", "auto", "${API_KEY}", "***", SCRUBBED])
def test_words_that_stand_for_no_secret_are_kept(value: str) -> None:
    assert Scrubber({}).value("api_key", value) == value


@pytest.mark.parametrize("value", ["<pad>", "[PAD]", "</s>", "<|im_end|>", "##", "▁"])
def test_a_text_token_is_no_secret(value: str) -> None:
    assert Scrubber({}).value("turn_token", value) == value


@pytest.mark.parametrize("secret", FORMATS)
def test_known_formats_are_replaced_wherever_they_stand(secret: str) -> None:
    scrubber = Scrubber({})
    assert scrubber.text(f"using {secret}, then done") == f"using {SCRUBBED}, then done"
    assert scrubber.text(f'{{"x": "{secret}"}}') == f'{{"x": "{SCRUBBED}"}}'
    assert scrubber.value("note", secret) == SCRUBBED
    assert has_secret(f"first line\nx = '{secret}'\n".encode())


@pytest.mark.parametrize(
    "text",
    [
        "loss=0.25 acc=0.91 step=100 tokens=4096",
        "sk-toggleable__content-arrow sk-estimator-doc-link",
        "task-abcdefghijklmnopqrstuvwxyz",
        "the next token: hello, the key: value",
        "commit 3f786850e387550fdab836ed7e6dc881de23001b",
        "git@github.com:me/model.git and ssh://git@github.com/me/model.git",
        "see https://example.com/@me/model?step=4&epoch=2",
        "author=Ada, max_tokens=512, pad_token='<pad>', tokenizer=gpt2-large-v2",
        "client = Client(api_key=os.environ['OPENAI_API_KEY'], token=self.token)",
        "password=args.password",
        "/home/me/data/train.csv",
        "AKIA is a prefix, ghp_ too, and hf_hub is a package",
        "",
    ],
)
def test_ordinary_text_is_returned_as_the_same_object(text: str) -> None:
    assert Scrubber({"HOME": "/home/me", "PWD": "/home/me/data"}).text(text) is text
    assert not has_secret(text.encode())


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("password=hunter2", "password=[scrubbed]"),
        ("password: hunter2, then", "password: [scrubbed], then"),
        ("Namespace(lr=0.1, api_key='abcd')", "Namespace(lr=0.1, api_key='[scrubbed]')"),
        ('{"api_key": "ab\\"cd", "lr": 1}', '{"api_key": "[scrubbed]", "lr": 1}'),
        ('{\\"password\\": \\"abcd\\"}', '{\\"password\\": \\"[scrubbed]\\"}'),
        ("export HF_TOKEN=abcdefg1", "export HF_TOKEN=[scrubbed]"),
        ("train.py --api-key abcdefg1 --lr 2", "train.py --api-key [scrubbed] --lr 2"),
        ("Authorization: Bearer abcd.efgh", "Authorization: Bearer [scrubbed]"),
        ("'authorization': 'Basic dXNlcjpwYXNz'", "'authorization': '[scrubbed]'"),
        ("curl with Bearer abcdefgh12345678", "curl with Bearer [scrubbed]"),
        ("https://me:pw@example.com/x", "https://[scrubbed]@example.com/x"),
        ("https://abcdef@example.com/x", "https://[scrubbed]@example.com/x"),
        ("postgres://me:pw@db:5432/x", "postgres://me:[scrubbed]@db:5432/x"),
        (
            "https://b.s3.example.com/x?X-Amz-Signature=0a1b2c3d&y=1",
            "https://b.s3.example.com/x?X-Amz-Signature=[scrubbed]&y=1",
        ),
        ("wandb login 0123456789abcdef0123456789abcdef01234567", "wandb login [scrubbed]"),
        ("bot 123456789:AA" + "HdqTcvCH1vGWJxfSeofSAs0K5PALDsaw7", "bot 123456789[scrubbed]"),
        ("İstanbul: password=hunter2", "İstanbul: password=[scrubbed]"),
        ("a\n" + KEY_BLOCK + "\nb", "a\n[scrubbed]\nb"),
        ("url=http://x/?a=1 token=abcdefg1 lr=2", "url=http://x/?a=1 token=[scrubbed] lr=2"),
    ],
)
def test_secrets_in_text(text: str, clean: str) -> None:
    assert Scrubber({}).text(text) == clean
    assert Scrubber({}).text(clean) == clean


def test_values_of_secret_named_variables_are_replaced_everywhere() -> None:
    scrubber = Scrubber({"ACME_API_KEY": "zebra/crossing+1", "DATABASE_URL": "postgres://me:tiger-lily@db/x"})
    assert scrubber.text("sent zebra/crossing+1 to it") == "sent [scrubbed] to it"
    assert scrubber.text("GET /?k=zebra%2Fcrossing%2B1") == "GET /?k=[scrubbed]"
    assert scrubber.text("pw tiger-lily") == "pw [scrubbed]"
    assert scrubber.value("model", "zebra/crossing+1") == SCRUBBED
    assert scrubber.argv(("run", "zebra/crossing+1")) == ("run", SCRUBBED)
    assert scrubber.has_secret(b"x = 'zebra/crossing+1'")
    assert not has_secret(b"x = 'zebra/crossing+1'")


def test_a_variable_that_holds_no_secret_replaces_nothing(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials.json"
    credentials.write_text("{}")
    environ = {
        "PWD": "/home/me/project",
        "OLDPWD": "/home/me",
        "USE_TOKEN": "true",
        "SHORT_TOKEN": "abc",
        "STEP_TOKEN": "100000",
        "PAD_TOKEN": "[PAD][PAD]",
        "GOOGLE_APPLICATION_CREDENTIALS": str(credentials),
        "EDITOR": "emacs-nox",
    }
    text = f"/home/me/project true abc 100000 [PAD][PAD] {credentials} emacs-nox"
    assert Scrubber(environ).text(text) == text


def test_a_short_plain_value_is_replaced_as_a_word_only() -> None:
    scrubber = Scrubber({"DB_PASSWORD": "postgres"})
    assert scrubber.text("postgresql wants postgres") == "postgresql wants [scrubbed]"


def test_a_longer_value_wins_over_one_inside_it() -> None:
    scrubber = Scrubber({"A_TOKEN": "abcdef-123", "B_TOKEN": "abcdef-123-ghijkl"})
    assert scrubber.text("<abcdef-123-ghijkl>") == "<[scrubbed]>"


def test_a_value_with_characters_outside_ascii_is_replaced_in_text_and_bytes() -> None:
    scrubber = Scrubber({"DB_PASSWORD": "pässwört-ñ"})
    stream = scrubber.stream()
    assert scrubber.text("pw pässwört-ñ!") == "pw [scrubbed]!"
    assert stream.feed("ü pässwört-ñ ü\n".encode()) == "ü [scrubbed] ü\n".encode()
    assert scrubber.has_secret("x = pässwört-ñ".encode())


def test_command_lines() -> None:
    scrubber = Scrubber({})
    words = (
        "train.py", "--lr", "0.1", "--api-key", "abcd", "--password=hunter2", "--tokenizer", "gpt2", "--max-tokens=5",
        "HF_TOKEN=abcdef", "db.password=x1y2", "+model.api_key=zz", "--env=API_KEY=abcd", "-p", "visible",
        "-H", "Authorization: Bearer abcd", "--use-auth-token", "--seed", "1", "--pad-token", "<pad>",
    )  # fmt: skip
    assert scrubber.argv(words) == (
        "train.py", "--lr", "0.1", "--api-key", SCRUBBED, f"--password={SCRUBBED}", "--tokenizer", "gpt2",
        "--max-tokens=5", f"HF_TOKEN={SCRUBBED}", f"db.password={SCRUBBED}", f"+model.api_key={SCRUBBED}",
        f"--env=API_KEY={SCRUBBED}", "-p", "visible", "-H", f"Authorization: Bearer {SCRUBBED}", "--use-auth-token",
        "--seed", "1", "--pad-token", "<pad>",
    )  # fmt: skip
    assert scrubber.scrubbed == tuple(f"command[{number}]" for number in (4, 5, 9, 10, 11, 12, 16))


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://token123@github.com/me/x.git", "https://github.com/me/x.git"),
        ("https://me:pw@github.com/me/x.git", "https://github.com/me/x.git"),
        ("https://me:p@w@github.com:8443/me/x.git", "https://github.com:8443/me/x.git"),
        ("https://github.com/me/x.git", "https://github.com/me/x.git"),
        ("ssh://git@github.com/me/x.git", "ssh://git@github.com/me/x.git"),
        ("ssh://git:pw@github.com/me/x.git", "ssh://git@github.com/me/x.git"),
        ("git@github.com:me/x.git", "git@github.com:me/x.git"),
        ("file:///srv/x.git", "file:///srv/x.git"),
        ("../x.git", "../x.git"),
        (f"https://gitlab.com/me/{GITHUB}/x.git", "https://gitlab.com/me/[scrubbed]/x.git"),
    ],
)
def test_urls(url: str, clean: str) -> None:
    scrubber = Scrubber({})
    assert scrubber.url(url, where="source.remote") == clean
    assert scrubber.scrubbed == (("source.remote",) if clean != url else ())
    assert scrubber.url(clean) == clean


def test_what_was_scrubbed_is_reported_once_and_in_order() -> None:
    scrubber = Scrubber({})
    for _ in range(2):
        scrubber.value("lr", "0.1", where="params")
        scrubber.value("api_key", "abcdef", where="params")
        scrubber.value("owner", f"by {GITHUB}", where="tags")
    scrubber.text("password=hunter2", where="note")
    scrubber.text("password=hunter2")
    assert scrubber.scrubbed == ("params.api_key", "tags.owner", "note")


def test_a_stream_is_the_same_however_it_is_cut() -> None:
    plain = b"caf\xe9 \xff\xfe\x00 \xe2\x80\xa6\r\n 10%\r 20%\r\n\n\nlast"
    log = plain + f"\nkey {GITHUB}\n{KEY_BLOCK}\npassword=hunter2\nloss 0.5\n".encode() + plain
    want = plain + b"\nkey [scrubbed]\n[scrubbed]\npassword=[scrubbed]\nloss 0.5\n" + plain
    for size in (1, 7, 64, 4096):
        stream = Scrubber({}).stream()
        got = b"".join(stream.feed(log[at : at + size]) for at in range(0, len(log), size)) + stream.finish()
        assert got == want


def test_a_private_key_without_an_end_hides_no_more_of_the_log_than_itself() -> None:
    stream = Scrubber({}).stream()
    head = KEY_BLOCK.split("-----END")[0]
    log = f"start\n{head}epoch 1 loss 0.5\nepoch 2 loss 0.4\nepoch 3 loss 0.3\n"
    assert (
        stream.feed(log.encode()) + stream.finish()
    ).decode() == "start\n[scrubbed]\nepoch 1 loss 0.5\nepoch 2 loss 0.4\nepoch 3 loss 0.3\n"


def test_a_line_without_an_end_is_not_held_back_for_ever() -> None:
    stream = Scrubber({}).stream()
    out = stream.feed(b"x" * 3_000_000)
    assert len(out) == 3_000_000
    assert stream.feed(b"y\n") + stream.finish() == b"y\n"


def test_a_stream_reports_its_place() -> None:
    scrubber = Scrubber({})
    scrubber.stream(where="output.log").feed(b"fine\npassword=hunter2\n")
    assert scrubber.scrubbed == ("output.log",)


@given(st.text())
def test_scrubbing_twice_is_scrubbing_once(text: str) -> None:
    scrubber = Scrubber({"ACME_TOKEN": "zebra-crossing"})
    once = scrubber.text(f"password={text} zebra-crossing {text} --api-key {text}")
    assert scrubber.text(once) == once
    assert "zebra-crossing" not in once


@given(st.binary(max_size=300), st.integers(1, 50))
def test_a_stream_without_secrets_keeps_every_byte(data: bytes, size: int) -> None:
    stream = Scrubber({}).stream()
    data = data.replace(b"=", b"-").replace(b":", b"-")
    got = b"".join(stream.feed(data[at : at + size]) for at in range(0, len(data), size)) + stream.finish()
    assert got == data


ADVERSARIAL = {
    "hints": "key" * 333_000,
    "hint words": "key " * 250_000,
    "words": "a" * 1_000_000,
    "names": "token=" * 170_000,
    "short names": "token: ab " * 100_000,
    "quotes": 'api_key="' * 110_000,
    "two quotes": "api_key='a\" api_key=\"b' " * 40_000,
    "backslashes": 'api_key="' + "\\" * 1_000_000,
    "userinfo": "://a:" * 200_000,
    "userinfo long": "https://" + "a:" * 500_000,
    "jwt": "eyJaaaaaaaaaaaa.eyJbbbbbbbbbbb." * 32_000,
    "jwt run": "eyJ" * 333_000,
    "keys": ("-----BEGIN RSA " + "PRIVATE KEY-----") * 31_000,
    "dashes": "-" * 1_000_000,
    "options": "--api-key " * 100_000,
    "bearer": "Bearer " * 140_000,
    "authorization": "authorization:" * 71_000,
    "hex": "wandb key " + "0123456789abcdef" * 62_000,
    "sk": "sk-" * 333_000,
    "query": "http://x?" + "&key=" * 200_000,
    "spaces": "password" + " " * 1_000_000 + "= x",
    "newlines": "\n" * 1_000_000 + "password",
    "aws": "AKIA" * 250_000,
    "slack": "hooks.slack.com/" * 62_000,
}


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_a_megabyte_of_bad_will_takes_no_more_than_a_moment(name: str) -> None:
    text = ADVERSARIAL[name]
    scrubber = Scrubber({"ACME_TOKEN": "zebra-crossing"})
    started = time.process_time()
    scrubber.text(text)
    has_secret(text.encode())
    stream = scrubber.stream()
    stream.feed(text.encode())
    stream.finish()
    assert time.process_time() - started < 5


def test_a_usual_set_of_params_costs_microseconds() -> None:
    scrubber = Scrubber({"WANDB_API_KEY": "0a1b2c3d" * 5, "HF_TOKEN": "hf_abcdefghij"})
    params: dict[str, object] = {f"size_{n}": n * 0.5 for n in range(12)}
    params |= {"model": "resnet50", "optimizer": "adamw", "data": "/data/train.csv", "activation": "gelu"}
    params |= {"schedule": "cosine", "device": "cuda:0", "tokenizer": "gpt2", "pad_token": "<pad>"}
    best = 1.0
    for _ in range(50):
        started = time.perf_counter()
        for key, value in params.items():
            scrubber.value(key, value, where="params")
        best = min(best, time.perf_counter() - started)
    assert best < 200e-6


@pytest.mark.parametrize(
    "path",
    [
        ".env", ".env.local", ".env.production", "app/.env", "prod.env", ".envrc", "server.pem", "tls/server.key",
        "a.p12", "a.PFX", "id_rsa", "id_ed25519", "keys/id_work", "id_rsa.old", "id_rsa_backup", ".netrc", "_netrc",
        "credentials", "credentials.json", "credentials.yaml", ".aws/credentials", ".aws/config", ".pypirc", ".npmrc",
        ".git-credentials",
        ".htpasswd", "service-account.json", "my-service-account-1a2b.json", "service_account.json", "secrets.toml",
        ".streamlit/secrets.toml", "secret.yaml", ".ssh/anything", "kaggle.json", "client_secret_1.json", ".pgpass",
    ],
)  # fmt: skip
def test_secret_file_names(path: str) -> None:
    assert is_secret_name(path)


@pytest.mark.parametrize(
    "path",
    [
        "id_map.py", "id_mapping.csv", "id_list.json", "credentials.py", "test_credentials.py", ".env.example",
        ".env.template", "id_rsa.pub", "environment.yml", "env.py", "keys.py", "key.txt", "tokenizer.json", "keyboard",
        "secrets.py", "src/secret_santa.py", "monkey.jpg", "token_counts.json", ".ssh/config", "README.md", "train.py",
        "grid_search", "valid_split", "hidden.pt",
    ],
)  # fmt: skip
def test_ordinary_file_names(path: str) -> None:
    assert not is_secret_name(path)


@pytest.mark.parametrize(
    "text",
    [
        'API_KEY = "a1b2c3d4e5"',
        "DB_PASSWORD=S3cretP4ss",
        "db:\n  password: S3cretP4ss\n",
        '{"client_secret": "9f8e7d6c5b"}',
        "url = 'postgres://me:S3cretP4ss@db/x'",
        "url = 'https://a1b2c3d4e5@example.com/x'",
        KEY_BLOCK,
    ],
)
def test_contents_with_a_secret(text: str) -> None:
    assert has_secret(f"import os\n{text}\n".encode())
    assert has_secret(f"\x00\xff{text}\n".encode("latin-1"))


@pytest.mark.parametrize(
    "text",
    [
        "api_key = os.environ['API_KEY']",
        "def connect(password=None, token: str = ''): ...",
        "password = getpass.getpass()",
        "api_key = 'your-api-key-1'",
        "password = 'changeme1'",
        "token = tokens[index1]",
        "token = next_token_2",
        "PASSWORD=${DB_PASSWORD}",
        "url = 'https://user:password@example.com/x'",
        "pad_token = '<extra_id_0>'",
        "cache_key = 'v1-abcdef-123456'",
        "assert is_secret_key('api_key')",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
    ],
)
def test_contents_without_a_secret(text: str) -> None:
    assert not has_secret(f"import os\n{text}\n".encode())
