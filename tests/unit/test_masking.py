"""What is secret in a setting is in nothing that is shown, however it was written into the URL."""

from __future__ import annotations

import traceback
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from boxoffice.errors import SettingsError
from boxoffice.logs import masker, secrets_of
from boxoffice.redis.connection import connect
from boxoffice.settings import load_settings
from boxoffice.showing.masking import MASK, SecretUrl, masked, masked_url, secrets_in, without_credentials
from boxoffice.storage.errors import StoreError
from boxoffice.storage.store import DocumentStore

ODD = "/?#@:&=;%+,[] \t\\é"
"""What passwords hold, and URLs mean something by."""
# The capitals are in nothing else that is shown here.
SECRETS = st.builds(
    lambda head, odd, tail: f"{head}{odd}{tail}",
    st.text("QXZ", min_size=5, max_size=8),
    st.text(ODD + "QXZ", max_size=6),
    st.text("QXZ", min_size=5, max_size=8),
)
SCHEMES = st.sampled_from(["redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "s3", "https"])
ADDRESSES = st.sampled_from(["cache.example:6379", "a.example:1,b.example:2", "[::1]:6379", "cache.example"])
SECRET_PARAMETERS = st.sampled_from(["sentinel_password", "ssl_password", "password", "token", "sentinel_passwrod"])


def pieces(secret: str) -> set[str]:
    """The runs of capitals of a secret: none of them may be seen."""
    return set("".join(character if character in "QXZ" else " " for character in secret).split())


def shows(secret: str, text: str) -> bool:
    return any(piece in text for piece in pieces(secret) if len(piece) >= 5)


@given(SCHEMES, SECRETS, ADDRESSES, st.booleans(), st.sampled_from(["", "user", "b@b"]))
def test_a_password_is_never_shown_whether_it_was_quoted_or_not(
    scheme: str, secret: str, address: str, quoted: bool, user: str
) -> None:
    password = quote(secret, safe="") if quoted else secret
    url = f"{scheme}://{user}:{password}@{address}/0"
    shown = masked_url(url)
    assert not shows(secret, shown)
    assert shown.startswith(f"{scheme}://{MASK}")
    assert not quoted or "@" in user or shown == f"{scheme}://{MASK}@{address}/0"
    assert shown == str(SecretUrl(url)) == masked(SecretUrl(url))
    assert repr(shown) in repr(SecretUrl(url))


@given(SCHEMES, SECRETS, ADDRESSES, st.booleans(), SECRET_PARAMETERS)
def test_no_value_of_a_query_is_shown_that_is_not_known_to_be_harmless(
    scheme: str, secret: str, address: str, quoted: bool, parameter: str
) -> None:
    value = quote(secret, safe="") if quoted else secret
    shown = masked_url(f"{scheme}://{address}/shop?ssl_ca_certs=/etc/ca.pem&{parameter}={value}")
    assert not shows(secret, shown)
    assert not quoted or shown.startswith(f"{scheme}://{address}/shop?ssl_ca_certs=/etc/ca.pem&")


@given(SECRETS.filter(lambda secret: "://" not in secret))
def test_what_is_no_url_is_not_shown_at_all(secret: str) -> None:
    assert masked(SecretStr(secret)) == masked(SecretUrl(secret)) == MASK
    assert masked(SecretStr(f"scheme://{secret}")) == MASK


def refusal(url: str) -> str:
    """All that is said of a URL that cannot be used; nothing where it can."""
    try:
        connect(load_settings(redis_url=url).redis)
    except SettingsError as error:
        return "".join(traceback.format_exception(error))
    return ""


@given(SCHEMES, SECRETS, st.booleans(), st.booleans())
def test_no_error_of_a_redis_url_shows_the_password(scheme: str, secret: str, quoted: bool, in_query: bool) -> None:
    written = quote(secret, safe="") if quoted else secret
    url = f"{scheme}://h:6379?ssl_password={written}" if in_query else f"{scheme}://u:{written}@h:6379"
    assert not shows(secret, refusal(url))


@given(SECRETS, st.booleans(), st.booleans())
def test_no_log_line_shows_the_password_of_a_setting(secret: str, quoted: bool, in_query: bool) -> None:
    written = quote(secret, safe="") if quoted else secret
    url = f"redis+sentinel://h:1/s?sentinel_password={written}" if in_query else f"redis://u:{written}@h:6379"
    mask = masker(secrets_of(load_settings(redis_url=url, kafka_sasl_password=f"k{secret}k")))
    for text in (url, written, secret, f"k{secret}k", f"cannot reach {url}: {secret} is wrong"):
        assert not shows(secret, mask(text))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        (
            "redis+sentinel://u:pw@h:26379/svc?sentinel_username=su&sentinel_password=HUNTER2",
            "redis+sentinel://***@h:26379/svc?sentinel_username=***&sentinel_password=***",
        ),
        ("rediss://h:6379/0?ssl_password=HUNTER3", "rediss://h:6379/0?ssl_password=***"),
        ("rediss://h:6379/0?ssl_ca_certs=/etc/a.pem", "rediss://h:6379/0?ssl_ca_certs=/etc/a.pem"),
        ("rediss://h:6379/0?ssl_ca_certs=/a;password=x", "rediss://h:6379/0?ssl_ca_certs=***"),
        ("redis://:p@ssSECRET@h:6379/0", "redis://***@h:6379/0"),
        ("redis://:p/w@h:6379/0", "redis://***"),
        ("redis://:p?w@h:6379/0", "redis://***"),
        ("redis://user:hunter22", "redis://***"),
        ("redis://[::1]:6379", "redis://[::1]:6379"),
        ("redis://h:6379#hunter", "redis://h:6379#***"),
        ("file:///srv/a@b/tickets", "file:///srv/a@b/tickets"),
        ("s3://bucket/team@north", "s3://bucket/team@north"),
        ("s3://key:secret@bucket/tickets", "s3://***@bucket/tickets"),
        ("az://box/tickets?sig=abc", "az://box/tickets?***"),
    ],
)
def test_what_helps_to_find_a_mistake_is_shown(url: str, shown: str) -> None:
    assert masked(SecretUrl(url)) == masked(url) == shown


def test_a_location_is_the_same_for_whoever_brings_credentials() -> None:
    assert without_credentials("s3://key:se%2Fcret@bucket/a@b?sig=x#y") == "s3://bucket/a@b"


async def test_what_a_store_says_of_its_url_is_masked_too() -> None:
    """Its account is not there: the store's own words repeat the URL."""
    settings = load_settings(documents_url="az://account:HUNTER2@box/tickets").documents
    with pytest.raises(StoreError) as caught:
        await DocumentStore(settings).folders()
    assert "az://***@box/tickets" in str(caught.value)
    assert "HUNTER2" not in str(caught.value)


def test_a_secret_is_known_as_it_stands_and_as_it_is_decoded() -> None:
    assert {"a%2Bb", "a+b"} <= secrets_in(SecretUrl("redis://:a%2Bb@h"))
    assert {"a+b", "a b"} <= secrets_in(SecretUrl("redis+sentinel://h:1/s?sentinel_password=a+b"))
    assert secrets_in("12") == secrets_in(None) == secrets_in(SecretStr("")) == frozenset()
