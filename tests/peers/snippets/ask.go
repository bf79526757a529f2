// Asks docs/snippets/verify.go, which the test puts into the package webhook. The protocol is in
// ask.py.

package main

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"strings"

	"snippets/webhook"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		header := http.Header{}
		for at, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature"} {
			if fields[at+1] != "" {
				header.Set(name, fields[at+1])
			}
		}
		body, err := base64.StdEncoding.DecodeString(fields[5])
		if err != nil {
			panic(err)
		}
		fmt.Println(webhook.Verify(fields[0], header, body), webhook.VerifyBody(fields[0], fields[4], body))
	}
	if err := lines.Err(); err != nil {
		panic(err)
	}
}
