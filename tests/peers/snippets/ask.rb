# Asks docs/snippets/verify.rb, whose path is the first argument. The protocol is in ask.py.

require File.expand_path(ARGV[0])

$stdin.each_line(chomp: true) do |line|
  secret, id, timestamp, signature, body_signature, body = line.split("\t", -1)
  headers = { "webhook-id" => id, "webhook-timestamp" => timestamp, "webhook-signature" => signature }
  headers.delete_if { |_, value| value.empty? }
  body = body.unpack1("m0")
  puts "#{verify(secret, headers, body)} #{verify_body(secret, body_signature, body)}"
end
