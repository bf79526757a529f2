<?php
// Asks docs/snippets/verify.php, whose path is the first argument. The protocol is in ask.py.

require $argv[1];

const NAMES = ["webhook-id", "webhook-timestamp", "webhook-signature"];

while (($line = fgets(STDIN)) !== false) {
    $fields = explode("\t", rtrim($line, "\n"));
    $headers = array_filter(array_combine(NAMES, array_slice($fields, 1, 3)), "strlen");
    $body = base64_decode($fields[5], true);
    $answers = [verify($fields[0], $headers, $body), verify_body($fields[0], $fields[4], $body)];
    echo implode(" ", array_map(fn ($answer) => $answer ? "true" : "false", $answers)), "\n";
}
