// Asks docs/snippets/FanfareWebhook.java. The protocol is in ask.py.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;

public final class Ask {
    private static final String[] NAMES = {"webhook-id", "webhook-timestamp", "webhook-signature"};

    public static void main(String[] args) throws Exception {
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] fields = line.split("\t", -1);
            Map<String, String> headers = new HashMap<>();
            for (int at = 0; at < NAMES.length; at++) {
                if (!fields[at + 1].isEmpty()) headers.put(NAMES[at], fields[at + 1]);
            }
            byte[] body = Base64.getDecoder().decode(fields[5]);
            boolean standard = FanfareWebhook.verify(fields[0], headers, body);
            boolean other = FanfareWebhook.verifyBody(fields[0], fields[4], body);
            System.out.println(standard + " " + other);
        }
    }
}
