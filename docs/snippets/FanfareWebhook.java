import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Instant;
import java.util.Base64;
import java.util.HexFormat;
import java.util.Map;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public final class FanfareWebhook {
    private static final long TOLERANCE_S = 300;

    /** Is this request from Fanfare? The headers have lower-case names, the body is raw bytes. */
    public static boolean verify(String secret, Map<String, String> headers, byte[] body)
            throws GeneralSecurityException {
        String id = headers.getOrDefault("webhook-id", "");
        String timestamp = headers.getOrDefault("webhook-timestamp", "");
        try {
            long age = Instant.now().getEpochSecond() - Long.parseLong(timestamp);
            if (age > TOLERANCE_S || age < -TOLERANCE_S) return false;
        } catch (NumberFormatException notSeconds) {
            return false;
        }
        byte[] key = Base64.getDecoder().decode(secret.replaceFirst("^whsec_", ""));
        byte[] mac = mac(key, bytes(id + "." + timestamp + "."), body);
        String expected = "v1," + Base64.getEncoder().encodeToString(mac);
        // There are several signatures while a secret is being replaced.
        String signatures = headers.getOrDefault("webhook-signature", "");
        return contains(signatures.split(" "), expected);
    }

    /** The same for X-Webhook-Signature, which does not protect against replays. */
    public static boolean verifyBody(String secret, String header, byte[] body)
            throws GeneralSecurityException {
        String expected = "sha256=" + HexFormat.of().formatHex(mac(bytes(secret), body));
        return contains(header.split(",\\s*"), expected);
    }

    private static byte[] mac(byte[] key, byte[]... parts) throws GeneralSecurityException {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key, "HmacSHA256"));
        for (byte[] part : parts) mac.update(part);
        return mac.doFinal();
    }

    private static boolean contains(String[] signatures, String expected) {
        boolean found = false;
        for (String given : signatures) {
            found |= MessageDigest.isEqual(bytes(given), bytes(expected));
        }
        return found;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
