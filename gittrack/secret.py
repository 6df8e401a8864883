"""Owns what a secret looks like: the names that mean one, the file names, the known key formats.

Pure patterns and predicates. Knows nothing of runs, journals, files or git, and replaces nothing: that is `scrub`.
Every pattern takes time linear in the text: a repetition starts only where a lookbehind says a word begins, or is
bounded.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

SCRUBBED = "[scrubbed]"

Kind = Literal["", "token", "secret"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WORD = r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+"
_QUALIFIERS = _words("value val str string text plain raw b64 base64 base enc old new prod dev test staging")
_SECRET_WORDS = _words(
    "password passwd passphrase passcode secret secrets apikey secretkey accesskey privatekey authkey apitoken "
    "authtoken accesstoken sshpass credential credentials creds pwd bearer authorization jwt cookie cookies"
)
_SECRET_SUFFIXES = tuple(word for word in sorted(_SECRET_WORDS) if len(word) > 5)
_PASS_OWNERS = _words(
    "db database smtp imap user mail email ftp sftp mysql postgres pg redis mongo ssh admin root login proxy http key "
    "git docker registry ldap basic auth sudo"
)
_KEY_OWNERS = _words(
    "api access secret private auth account signing encryption master ssh hmac deploy license subscription app "
    "application consumer client shared service openai anthropic wandb hf huggingface cohere mistral groq google "
    "gemini azure aws gcp stripe sendgrid comet neptune pinecone openrouter together replicate deepseek kaggle "
    "mailgun datadog algolia"
)
_TOKEN_OWNERS = _words(
    "access api auth bearer refresh session security personal deploy bot oauth jwt sas hf hub huggingface github gh "
    "gitlab slack wandb pypi npm telegram discord vault consul mlflow neptune comet aws gcp azure databricks kaggle "
    "csrf login secret registry"
)
# Words that mean a secret only after one of these; "" is for the word alone.
_OWNERS = {
    "pass": _PASS_OWNERS | {""},
    "key": _KEY_OWNERS,
    "keys": _KEY_OWNERS,
    "token": _TOKEN_OWNERS,
    "tokens": _TOKEN_OWNERS,
    "auth": _words("proxy basic http"),
    "pat": _words("github gitlab gh azure devops"),
    "string": _words("connection conn"),
}
# A token in machine learning is a piece of text; these words beside it say which.
_TEXT_TOKENS = _words(
    "pad padding eos bos sep cls class mask unk unknown start end begin special stop per image img first last next "
    "previous prev max min num n by prompt generated new decoder encoder target source placeholder trigger instance "
    "initializer init use add time speaker blank video audio vision think fill separator newline language lang "
    "response instruction system assistant forced additional extra cost price loss patch text sub word char byte "
    "prefix suffix middle fim sot eot concept modifier learnable register visual soft query distill distillation task "
    "control reserved skip ignore split join boundary delimiter sentence document doc chunk single multi top random "
    "global local position dummy empty keep drop non no with without is has public"
)

_NEVER_SECRET = _words(
    "none null nil true false yes no on off auto default unset undefined required optional redacted hidden "
    "bearer basic digest token"
)
_REFERENCE = r"\$\{\w+\}|<redacted>|\*+"
_TEXT_TOKEN_SHAPE = r"(?s)[<\[(|{].*[>\])|}]|[^A-Za-z0-9]*"
_PLACEHOLDER = (
    r"(?i)your|example|change.?me|placeholder|x{3,}|\.{3}|dummy|fake|insert|replace|sample|\$\{|<|\*\*|%\(|\{\w*\}"
    r"|12345"
)


def _format(literal: str, rest: str, *, after: str = "[A-Za-z0-9_-]") -> tuple[str, str]:
    # The literal comes first, since `re` looks for one much faster than for a lookbehind.
    start = re.escape(literal)
    return literal, f"{start}(?<!{after}{start}){rest}"


# A key format is looked for (and its pattern compiled) only where its literal occurs, which a plain substring search
# tells quickly.
FORMATS = (
    *(_format(p, r"[A-Z0-9]{16}(?![A-Za-z0-9/+=])", after="[A-Za-z0-9/+]") for p in ("AKIA", "ASIA", "ABIA", "ACCA")),
    *(_format(f"gh{c}_", r"[A-Za-z0-9]{36,}") for c in "pousr"),
    _format("github_pat_", r"[A-Za-z0-9_]{22,}"),
    *(_format(f"gl{c}-", r"[A-Za-z0-9_.-]{20,}") for c in ("pat", "dt", "rt", "cbt", "ptt", "ft", "agent", "soat")),
    _format("xox", r"[abeoprs]-[A-Za-z0-9-]{10,}"),
    _format("xapp-", r"[A-Za-z0-9-]{20,}"),
    _format("hooks.slack.com/", r"(?:services|workflows)/[A-Za-z0-9/_-]{20,}"),
    _format("/api/webhooks/", r"[0-9]{15,20}/[A-Za-z0-9_-]{40,}", after="[^a-z]"),
    _format("sk-", r"(?:(?:proj|svcacct|admin|None|ant|or-v1)-[A-Za-z0-9_-]{20,}|[A-Za-z0-9]{20,})"),
    _format("hf_", r"[A-Za-z0-9]{30,}"),
    _format("api_org_", r"[A-Za-z0-9]{30,}"),
    _format("AIza", r"[A-Za-z0-9_-]{35}(?![A-Za-z0-9_/+-])", after="[A-Za-z0-9_/+-]"),
    _format("ya29.", r"[A-Za-z0-9_-]{20,}"),
    _format("GOCSPX-", r"[A-Za-z0-9_-]{20,}"),
    *(_format(p, r"[A-Za-z0-9]{16,}") for p in ("sk_live_", "sk_test_", "rk_live_", "rk_test_")),
    _format("whsec_", r"[A-Za-z0-9+/]{24,}"),
    _format("npm_", r"[A-Za-z0-9]{36}(?![A-Za-z0-9_])"),
    _format("pypi-", r"[A-Za-z0-9_-]{50,}"),
    _format("eyJ", r"[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
    _format("eyJhcGlf", r"[A-Za-z0-9_=-]{50,}"),
    _format("SG.", r"[A-Za-z0-9_-]{20,24}\.[A-Za-z0-9_-]{39,50}"),
    _format("dapi", r"[0-9a-f]{32}(?![A-Za-z0-9])"),
    _format("dop_v1_", r"[0-9a-f]{64}"),
    _format("gsk_", r"[A-Za-z0-9]{40,}"),
    _format("r8_", r"[A-Za-z0-9]{37}(?![A-Za-z0-9])"),
    _format("xai-", r"[A-Za-z0-9]{60,}"),
    _format("pcsk_", r"[A-Za-z0-9_]{40,}"),
    _format("hvs.", r"[A-Za-z0-9_-]{24,}"),
    _format(":AA", r"(?<=[0-9]{8}:AA)[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])", after="[^0-9]"),
    _format("AccountKey=", r"[A-Za-z0-9+/]{40,}={0,2}"),
    _format("SharedAccessKey=", r"[A-Za-z0-9+/]{40,}={0,2}"),
)

_PUBLIC_NAME = (
    r".*\.(?:pyi?|pyx|ipynb|m?js|[jt]sx?|c|h|cc|cpp|cxx|hpp|cuh?|go|rs|java|kt|scala|rb|php|r|jl|cs|swift|m|pl|lua|sql"
    r"|proto|md|rst|html|css|pub|example|sample|template|tmpl|dist)"
)
_SECRET_NAME = (
    r"\.env.*|.+\.env|.*\.(?:pem|key|p12|pfx|jks|keystore|kdbx|ppk|pkcs12)"
    r"|id_(?:rsa|dsa|ecdsa|ed25519|xmss)(?:[^a-z0-9].*)?|id_[^.]+"
    r"|[._]netrc|\.pgpass|\.my\.cnf|\.pypirc|\.npmrc|\.git-credentials|\.htpasswd|\.dockercfg|\.s3cfg|\.boto"
    r"|\.vault-token|\.?credentials.*|.*[-_.]credentials\.json|\.?secrets?\.(?:ya?ml|json|toml|ini|txt|cfg|conf)"
    r"|kaggle\.json|token\.json|client_secret.*\.json|gha-creds-.*\.json|(?:.*[-_])?service[-_]?account.*\.json"
)
_SECRET_PLACE = r"(?:^|/)(?:\.ssh/(?!config$|known_hosts)|\.aws/|\.gnupg/|\.docker/config\.json$|\.kube/config$)"


@lru_cache(maxsize=4096)
def find_kind(name: str) -> Kind:
    """Return what a param, option or variable called name holds: a `secret`, a `token` that may be one, or neither."""
    words = [word.lower() for word in re.findall(_WORD, name)]
    while words:
        last, owner = words[-1], words[-2] if len(words) > 1 else ""
        if last in _SECRET_WORDS or last.endswith(_SECRET_SUFFIXES) or owner in _OWNERS.get(last, ()):
            return "secret"
        if last.endswith("token"):
            return "token" if _TEXT_TOKENS.isdisjoint(words) else ""
        if not (last.isdigit() or last in _QUALIFIERS or (last == "id" and owner in ("key", "secret"))):
            return ""
        words.pop()
    return ""


def is_secret_key(name: str) -> bool:
    """Tell whether a param, option or variable called name holds a secret, judged by its words.

    `api_key`, `db.password`, `HF_TOKEN` and `clientSecret` do; `max_tokens`, `pad_token`, `tokenizer`, `key_dim`,
    `n_secret_layers`, `author` and `password_file` do not.
    """
    return bool(find_kind(name))


def is_secret_name(path: str) -> bool:
    """Tell whether a file of this path (POSIX, relative) holds secrets by custom: `.env*`, `*.pem`, `id_rsa` and such.

    Source code (`id_map.py`, `credentials.py`), public keys (`*.pub`) and examples (`.env.example`) do not.
    """
    lowered = path.lower()
    name = lowered.rsplit("/", 1)[-1]
    if re.fullmatch(_PUBLIC_NAME, name):
        return False
    return re.fullmatch(_SECRET_NAME, name) is not None or re.search(_SECRET_PLACE, lowered) is not None


def is_given_secret(value: str, kind: Kind) -> bool:
    """Tell whether the value given to a name of this kind is a secret, and not a word such as `none` or `<pad>`."""
    text = value.strip()
    if not text or text.lower() in _NEVER_SECRET or re.fullmatch(_REFERENCE, text) or text.startswith(SCRUBBED[:-1]):
        return False
    return kind == "secret" or (len(text) >= 4 and not re.fullmatch(_TEXT_TOKEN_SHAPE, text))


def looks_random(value: str) -> bool:
    """Tell whether a value looks generated: long, or eight characters and more with letters and digits."""
    if len(value) >= 64:
        return True
    return len(value) >= 8 and any(map(str.isdigit, value)) and any(map(str.isalpha, value))


def is_placeholder(value: str) -> bool:
    """Tell whether a value only stands for one to be filled in, such as `your-key-here`."""
    return re.search(_PLACEHOLDER, value) is not None
