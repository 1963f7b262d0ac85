// Verifies a ticket's code offline, as docs/codes.md describes it: in a browser or in Node, with what they have.
//
//     const claim = await verify(text, keyRing);   // {keyId, eventId, ticket, seq}
//
// keyRing is what `boxoffice door keys list --public` prints. Whatever is wrong throws a Refused, whose verdict is
// "malformed", "unknown key", "wrong signature" or "revoked key". Whether the ticket was cancelled only the ledger knows.

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
const SIGNED_PREFIX = new TextEncoder().encode("boxoffice-ticket-v1\0");
const SIGNATURE_BYTES = 64;
const MAX_EVENT_ID = 10n ** 18n - 1n;
const MAX_NUMBER = 2n ** 63n - 1n;

export class Refused extends Error {
  constructor(verdict) {
    super(verdict);
    this.verdict = verdict;
  }
}

function need(condition, verdict = "malformed") {
  if (!condition) throw new Refused(verdict);
}

export async function verify(text, keyRing) {
  const { claim, signature, signed } = read(text);
  const key = keyRing.keys.find((one) => one.kid === String(claim.keyId));
  need(key, "unknown key");
  const imported = await crypto.subtle.importKey(
    "jwk", { kty: key.kty, crv: key.crv, x: key.x }, { name: "Ed25519" }, false, ["verify"],
  );
  need(await crypto.subtle.verify({ name: "Ed25519" }, imported, signature, signed), "wrong signature");
  need(!key.revoked_at, "revoked key");
  return claim;
}

function read(text) {
  need(text.length <= 144 && text.startsWith("BX1:"));
  const bytes = fromBase45(text.slice(4));
  let at = 0;
  const byte = () => {
    need(at < bytes.length);
    return bytes[at++];
  };
  const varint = () => {
    let number = 0n;
    for (let place = 0n; place < 9n; place++) {
      const group = byte();
      number += BigInt(group & 127) << (7n * place);
      if (group < 128) {
        need(group !== 0 || place === 0n); // one way to write a number
        return number;
      }
    }
    throw new Refused("malformed");
  };
  need(byte() === 1);
  const keyId = byte();
  const [event, number, seq] = [varint(), varint(), varint()];
  need(keyId > 0 && event <= MAX_EVENT_ID);
  need(number >= 1n && number <= MAX_NUMBER && seq >= 1n && seq <= MAX_NUMBER);
  const signature = bytes.slice(at);
  need(signature.length === SIGNATURE_BYTES);
  const signed = new Uint8Array([...SIGNED_PREFIX, ...bytes.slice(0, at)]);
  const ticket = `${event}-${String(number).padStart(6, "0")}`;
  return { claim: { keyId, eventId: String(event), ticket, seq: String(seq) }, signature, signed };
}

function fromBase45(text) {
  const bytes = [];
  for (let at = 0; at < text.length; at += 3) {
    const values = [...text.slice(at, at + 3)].map((character) => ALPHABET.indexOf(character));
    need(values.length > 1 && !values.includes(-1));
    const number = values.reduceRight((sum, value) => sum * 45 + value, 0);
    need(number < (values.length === 3 ? 65536 : 256));
    if (values.length === 3) bytes.push(number >> 8);
    bytes.push(number & 255);
  }
  return new Uint8Array(bytes);
}
