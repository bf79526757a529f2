<?php

const TOLERANCE_S = 300;

/**
 * Is this request from Fanfare? Pass array_change_key_case(getallheaders()) and
 * file_get_contents("php://input").
 */
function verify(string $secret, array $headers, string $body): bool
{
    $id = $headers["webhook-id"] ?? "";
    $timestamp = $headers["webhook-timestamp"] ?? "";
    if (!ctype_digit($timestamp) || abs(time() - (int) $timestamp) > TOLERANCE_S) {
        return false;
    }
    $key = base64_decode(preg_replace("/^whsec_/", "", $secret));
    $mac = hash_hmac("sha256", "$id.$timestamp.$body", $key, true);
    $expected = "v1," . base64_encode($mac);
    // There are several signatures while a secret is being replaced.
    foreach (explode(" ", $headers["webhook-signature"] ?? "") as $given) {
        if (hash_equals($expected, $given)) {
            return true;
        }
    }
    return false;
}

/** The same for X-Webhook-Signature, which does not protect against replays. */
function verify_body(string $secret, string $header, string $body): bool
{
    $expected = "sha256=" . hash_hmac("sha256", $body, $secret);
    foreach (explode(",", $header) as $given) {
        if (hash_equals($expected, trim($given))) {
            return true;
        }
    }
    return false;
}
