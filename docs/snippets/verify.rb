require "openssl"

TOLERANCE_S = 300

# Is this request from Fanfare? `headers` has lower-case names, `body` is the raw bytes.
def verify(secret, headers, body)
  id, timestamp, signatures =
    headers.values_at("webhook-id", "webhook-timestamp", "webhook-signature")
  seconds = Integer(timestamp.to_s, 10, exception: false)
  return false if seconds.nil? || (Time.now.to_i - seconds).abs > TOLERANCE_S

  key = secret.delete_prefix("whsec_").unpack1("m")
  mac = OpenSSL::HMAC.digest("SHA256", key, "#{id}.#{timestamp}.".b + body.b)
  expected = "v1,#{[mac].pack("m0")}"
  # There are several signatures while a secret is being replaced.
  signatures.to_s.split.any? { |given| OpenSSL.secure_compare(given, expected) }
end

# The same for `X-Webhook-Signature`, which does not protect against replays.
def verify_body(secret, header, body)
  expected = "sha256=#{OpenSSL::HMAC.hexdigest("SHA256", secret, body)}"
  header.to_s.split(",").any? { |given| OpenSSL.secure_compare(given.strip, expected) }
end
