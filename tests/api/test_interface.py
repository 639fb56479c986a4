"""Where a node's interface listens, in TLS or in plain text, and what it says of itself to machines."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
from pathlib import Path
from unittest import mock

import httpx
import pytest

from tests.api.served import served
from tests.node.live import Village, run, until
from tests.ports import LOOPBACK, free_port
from wattquorum import AsyncClient
from wattquorum.api.connections import Bounds
from wattquorum.api.interface import ApiTls, Interface, tls_of
from wattquorum.cli.statuses import UNTRUSTED, Known, ask
from wattquorum.foundation.refusals import Refused

SAMPLE = re.compile(
    r'(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?P<labels>([a-zA-Z_]\w*="(\\.|[^"\\])*",?)*)\})? (?P<value>\S+)\Z'
)


def certified(folder: Path) -> tuple[ApiTls, Path]:
    """A certificate for the loopback from an authority of its own, made as docs/interface.md says."""
    authority, key = folder / "authority.pem", folder / "authority.key"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    made = ["openssl", "req", "-x509", *curve, "-keyout", str(key), "-out", str(authority), "-subj", "/CN=village"]
    subprocess.run(made, check=True, capture_output=True, timeout=20)
    request = ["openssl", "req", *curve, "-keyout", str(folder / "api.key"), "-subj", "/CN=node", "-out"]
    subprocess.run([*request, str(folder / "api.csr")], check=True, capture_output=True, timeout=20)
    (folder / "api.ext").write_text(f"subjectAltName=IP:{LOOPBACK}\nextendedKeyUsage=serverAuth\n")
    signing = ["openssl", "x509", "-req", "-in", "api.csr", "-CA", "authority.pem", "-CAkey", "authority.key", "-days"]
    signing += ["730", "-CAcreateserial", "-extfile", "api.ext", "-out", "api.pem"]
    subprocess.run(signing, check=True, capture_output=True, cwd=folder, timeout=20)
    return ApiTls(folder / "api.pem", folder / "api.key"), authority


def test_a_client_speaks_tls_with_who_its_authority_vouches_for(tmp_path: Path) -> None:
    tls, authority = certified(tmp_path)
    village = Village(tmp_path / "village", 1)

    async def story() -> None:
        async with village.running() as nodes:
            place = (LOOPBACK, free_port())
            interface = Interface(nodes[0], place, tls, Bounds(50, 50, idle_s=1.0))
            await interface.start()
            silent, noisy = [await asyncio.to_thread(socket.create_connection, place) for _ in range(2)]
            noisy.sendall(b"no TLS at all")
            with pytest.raises(Refused, match="address_in_use"):
                await Interface(nodes[0], place).start()
            url = f"https://{LOOPBACK}:{place[1]}"
            async with AsyncClient([url], verify=authority) as client:
                await village.leader()
                assert (await client.submit(village.deposit())).outcome == "done"
            async with AsyncClient([url], patience_s=0.1) as client:
                with pytest.raises(Refused, match="CERTIFICATE_VERIFY_FAILED"):
                    await client.status()
            assert (await asyncio.to_thread(ask, Known(url))).wrong == UNTRUSTED
            with mock.patch.dict(os.environ, {"SSL_CERT_FILE": str(authority)}):
                assert (await asyncio.to_thread(ask, Known(url))).status is not None
            async with AsyncClient([url.replace("https", "http")], patience_s=0.1) as client:
                with pytest.raises(Refused, match="undecided"):
                    await client.status()
            await until(lambda: not len(interface.connections))  # also those on which no TLS is spoken
            assert interface.connections.turned_away["handshake"] >= 2
            silent.close()
            noisy.close()
            await interface.stop()
            with pytest.raises(Refused, match="certificate_wrong"):
                Interface(nodes[0], place, ApiTls(authority, tls.key))
            with pytest.raises(Refused, match="certificate_wrong"):
                Interface(nodes[0], place, ApiTls(tls.certificate, tmp_path / "nowhere"))

    run(story())
    with pytest.raises(Refused, match="file_unreadable"):
        AsyncClient(["https://localhost"], verify=tmp_path / "nowhere")


def test_nobody_listens_in_plain_text_to_other_machines_unawares(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    assert tls_of(tmp_path, ("127.0.0.1", 1)) is None
    for host in ("0.0.0.0", "10.0.0.1", "::", "node.example"):
        config.write_text("")
        with pytest.raises(Refused, match="plain text"):
            tls_of(tmp_path, (host, 1))
        config.write_text("api_plain = true")
        assert tls_of(tmp_path, (host, 1)) is None
        config.write_text('[api_tls]\ncertificate = "a.pem"\nkey = "/b.key"')
        assert tls_of(tmp_path, (host, 1)) == ApiTls(tmp_path / "a.pem", Path("/b.key"))
    for host in ("localhost", "127.3.2.1", "::1"):
        config.write_text("")
        assert tls_of(tmp_path, (host, 1)) is None
    for wrong in (
        "api_plain = 1",
        "api_tls = 5",
        '[api_tls]\ncertificate = "a"',
        '[api_tls]\ncertificate = "a"\nkey = 5',
        '[api_tls]\ncertificate = "a"\nkey = "b"\nother = "c"',
        'api_plain = true\n[api_tls]\ncertificate = "a"\nkey = "b"',
        "[",
    ):
        config.write_text(wrong)
        with pytest.raises(Refused, match="config_invalid"):
            tls_of(tmp_path, ("127.0.0.1", 1))


def test_metrics_are_what_prometheus_reads_and_the_docs_name(tmp_path: Path) -> None:
    with served(tmp_path) as community:
        community.do(community.village.nodes[0].submit(community.village.deposit()))
        answer = httpx.get(community.apis[0] + "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    documented = (Path(__file__).parents[2] / "docs" / "interface.md").read_text(encoding="utf-8")
    kinds: dict[str, str] = {}
    helped: set[str] = set()
    seen: set[tuple[str, str]] = set()
    assert answer.text.endswith("\n")
    for line in answer.text.splitlines():
        if line.startswith("# HELP "):
            helped.add(line.split(" ")[2])
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in kinds
            assert kind in ("counter", "gauge")
            kinds[name] = kind
        else:
            sample = SAMPLE.match(line)
            assert sample is not None, line
            float(sample["value"])
            name = sample["name"]
            assert name in kinds
            assert (name, sample["labels"]) not in seen
            seen.add((name, sample["labels"]))
            assert name.startswith("wattquorum_")
            assert (kinds[name] == "counter") == name.endswith("_total")
            assert f"`{name.removeprefix('wattquorum_')}`" in documented, name
    assert helped == set(kinds)
    assert len(kinds) > 15


def test_how_much_a_batch_may_be_is_said_before_it_is_read(tmp_path: Path) -> None:
    with served(tmp_path, 1) as community:
        api = community.apis[0]
        with socket.socket() as raw:
            raw.settimeout(20)
            raw.connect((LOOPBACK, community.ports[0]))
            raw.sendall(f"POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-length: {1 << 30}\r\n\r\n".encode())
            told = b""
            while not told.endswith(b"}"):
                told += raw.recv(4096) or b"}"
        assert b"413" in told.split(b"\r\n")[0]
        assert b"request_unreadable" in told
        for wrong, code in ((b"", "encoding_unreadable"), (b"\xc1", "encoding_unreadable"), (b"\x90" * 3, "encoding")):
            answer = httpx.post(api + "/v1/batch", content=wrong)
            assert (answer.status_code, answer.json()["code"][: len(code)]) == (422, code)
        many = b"\xdc\x27\x11" + b"\x92\xc4\x00\xc0" * 10_001
        answer = httpx.post(api + "/v1/batch", content=many)
        assert (answer.status_code, answer.json()["code"]) == (422, "out_of_range")
