// Reads [{envelope, key}, ...] from standard input; prints for each of them "accepted", or the code
// of the error with which @sigstore/verify rejects it. The key is a base64 SubjectPublicKeyInfo.

import { readFileSync } from "node:fs";
import { bundleFromJSON } from "@sigstore/bundle";
import { toSignedEntity, toTrustMaterial, VerificationError, Verifier } from "@sigstore/verify";

const HINT = "coordinator";
const NO_LOGS = { tlogThreshold: 0, ctlogThreshold: 0, tsaThreshold: 0 };
const NO_ROOTS = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [] };

function outcome({ envelope, key }) {
  const bundle = bundleFromJSON({
    mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
    dsseEnvelope: envelope,
    verificationMaterial: { publicKey: { hint: HINT }, tlogEntries: [] },
  });
  const keys = { [HINT]: { rawBytes: Buffer.from(key, "base64") } };
  try {
    new Verifier(toTrustMaterial(NO_ROOTS, keys), NO_LOGS).verify(toSignedEntity(bundle));
    return "accepted";
  } catch (error) {
    // Anything else is a fault of this script, and no rejection.
    if (error instanceof VerificationError) return error.code;
    throw error;
  }
}

console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(outcome)));
