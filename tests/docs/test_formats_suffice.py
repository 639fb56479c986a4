"""A reader of chains that was written from docs/formats.md alone: it shares no code with what wrote the chain.

It does what can be done without executing anything: framing, hashes, addresses, signatures, Merkle roots, rows,
snapshots and the signed end. What it cannot decode, or finds otherwise than described, is a fault of the page.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import msgspec
from nacl.signing import VerifyKey

REGISTER, COMMIT_READINGS = 1, 16


def h(tag: str, *parts: bytes) -> bytes:
    return hashlib.sha256(bytes([len(tag)]) + tag.encode() + b"".join(parts)).digest()


def decoded(data: bytes) -> Any:
    value = msgspec.msgpack.decode(data)
    assert msgspec.msgpack.encode(value) == data
    return value


encoded = msgspec.msgpack.encode


def merkle(leaves: list[bytes]) -> bytes:
    level = [h("merkle leaf", leaf) for leaf in leaves]
    while len(level) > 1:
        pairs = [h("merkle node", *level[i : i + 2]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(pairs) * 2 :]
    return h("merkle root", len(leaves).to_bytes(8, "big"), *level)


def check_signature(key: bytes, purpose: str, message: bytes, signature: bytes) -> None:
    signed = b"WattQuorum signature 1\x00" + purpose.encode() + b"\x00" + message
    VerifyKey(key).verify(signed, signature)


def blocks_of(folder: Path, chain_id: bytes) -> list[bytes]:
    found: list[bytes] = []
    for segment in sorted((folder / "blocks").iterdir()):
        data = segment.read_bytes()
        magic, chain, first = struct.unpack_from(">8s16sQ", data)
        assert (magic, chain, first) == (b"WQBLOCK\x01", chain_id, len(found) + 1)
        assert segment.name == f"{first:08d}.blocks"
        offset = 32
        while offset < len(data):
            mark, length, batch, checksum, head = struct.unpack_from(">4sIQII", data, offset)
            block = data[offset + 24 : offset + 24 + length]
            assert mark == bytes.fromhex("F7575100")
            assert head == zlib.crc32(struct.pack(">QQIQI", first, offset, length, batch, checksum))
            assert checksum == zlib.crc32(block)
            assert batch <= len(found) + 1
            found.append(block)
            offset += 24 + length
    return found


def test_a_reader_written_from_the_formats_reads_a_chain(day: Path) -> None:
    folder = day / "chain"
    genesis_bytes = (folder / "genesis.json").read_bytes()
    genesis = json.loads(genesis_bytes)
    previous = genesis_hash = h("genesis", genesis_bytes)
    chain_id = genesis_hash[:16]
    proposers = [bytes.fromhex(key) for key in genesis["proposers"]]
    keys = {}
    for founder in genesis["founders"]:
        key = bytes.fromhex(founder["key"])
        keys[h("address", chain_id, key)[:20]] = key

    committed, nonces, time_ms = set(), dict.fromkeys(keys, 0), genesis["created_ms"]
    headers: dict[int, list[Any]] = {}
    for height, data in enumerate(blocks_of(folder, chain_id), 1):
        header, transactions, receipts = decoded(data)
        assert header[:2] == [height, previous]
        assert header[2] > time_ms
        applied, _, proposer, signature, round_, evidence = header[3:9]
        assert (round_, evidence) == ([0, 0, 0], b"")  # a lone replica
        assert applied == [height - 1, previous]  # a lone replica executes each block before it orders the next
        assert proposer in proposers
        message = encoded([chain_id, header[2], applied, round_, evidence, merkle(transactions)])
        check_signature(proposer, "proposal", message, signature)
        assert header[9:11] == [merkle(transactions), merkle([encoded(receipt) for receipt in receipts])]
        for transaction, receipt in zip(transactions, receipts, strict=True):
            assert receipt[0] == h("transaction", transaction)
            body, signature = decoded(transaction)
            chain, sender, nonce, _, _, payload = decoded(body)
            assert (chain, nonce) == (chain_id, nonces[sender])
            check_signature(keys[sender], "transaction", body, signature)
            assert receipt[1] in (0, 1)  # nobody of the demo sends what is inadmissible
            nonces[sender] += 1
            if payload[0] == REGISTER and receipt[1] == 0:
                address = h("address", chain_id, payload[1])[:20]
                keys[address], nonces[address] = payload[1], 0
            if payload[0] == COMMIT_READINGS and receipt[1] == 0:
                _, day_start, _, root, count = payload
                rows = decoded((folder / "rows" / f"{root.hex()}.rows").read_bytes())
                assert merkle([encoded(row) for row in rows]) == root
                assert len(rows) == count
                assert [row[0] for row in rows] == sorted(row[0] for row in rows)
                assert all(len(energy) == 4 * len(quality) for _, _, energy, quality, _ in rows)
                assert day_start < header[2]
                committed.add(root.hex())
        previous, time_ms, headers[height] = h("header", encoded(header)), header[2], header
    assert sorted(committed) == sorted(path.stem for path in (folder / "rows").iterdir())
    assert len(keys) == len(genesis["founders"]) + 30

    tip = json.loads((folder / "tip.json").read_bytes())
    end, state = bytes.fromhex(tip["block"]), bytes.fromhex(tip["state"])
    assert (tip["height"], end, state) == (len(headers), previous, headers[len(headers)][11])
    message = encoded([chain_id, tip["height"], end, state])
    assert bytes.fromhex(tip["proposer"]) in proposers
    check_signature(bytes.fromhex(tip["proposer"]), "tip", message, bytes.fromhex(tip["signature"]))

    snapshots = sorted((folder / "snapshots").iterdir())
    assert snapshots
    for snapshot in snapshots:
        version, header, entries = decoded(snapshot.read_bytes())
        assert (version, header) == (1, headers[int(snapshot.stem)])
        assert merkle([encoded(entry) for entry in entries]) == header[12]
        accounts = {key: decoded(value) for table, key, value in entries if table == 1}
        assert sum(account[3] + account[4] for account in accounts.values()) == 0
        for name in ("grid", "community", "payouts", "outside"):
            assert accounts[h("address", chain_id, name.encode())[:20]][6] == name
