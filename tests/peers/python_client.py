"""A Python client generated from the OpenAPI document: type-complete modules, then run.

usage: python_client.py FILE BASE_URL FOLDER; prints what the journey saw, as JSON.
"""

import json
import pathlib
import subprocess
import sys
import time

file, base, folder = sys.argv[1:]
root = pathlib.Path(folder)
config = root / "config.json"
config.write_text(json.dumps({
    "post_hooks": [], "package_name_override": "fanfare_client",
    # Lines of JSON are bytes for this generator.
    "content_type_overrides": {"application/x-ndjson": "application/octet-stream"},
}))
made = subprocess.run(
    [sys.executable, "-m", "openapi_python_client", "generate", "--path", file, "--output-path",
     str(root / "client"), "--config", str(config), "--overwrite", "--fail-on-warning"],
    capture_output=True, text=True, check=False,
)
if made.returncode != 0 or not (root / "client").exists():
    print(json.dumps({"problems": [made.stdout + made.stderr]}))
    sys.exit(0)
compiled = subprocess.run(
    [sys.executable, "-m", "compileall", "-q", str(root / "client")],
    capture_output=True, text=True, check=False,
)
sys.path.insert(0, str(root / "client"))

from fanfare_client import AuthenticatedClient, models  # noqa: E402
from fanfare_client.api.destinations import create_destination  # noqa: E402
from fanfare_client.api.deliveries import list_deliveries  # noqa: E402
from fanfare_client.api.events import send_events  # noqa: E402
from fanfare_client.api.routes import create_route  # noqa: E402
from fanfare_client.api.tenants import create_tenant  # noqa: E402

client = AuthenticatedClient(base_url=base, token="sk_live_none", raise_on_unexpected_status=False)
client.set_httpx_client(__import__("httpx").Client(base_url=base))
tenant = create_tenant.sync_detailed(client=client, body=models.NewTenant(id="python"))
box = models.NewPollDestination.from_dict({"id": "box", "channel": "poll", "settings": {}})
destination = create_destination.sync_detailed("python", client=client, body=box)
route = create_route.sync_detailed(
    "python", client=client, body=models.NewRoute(events=["kyc.**"], to=["box"])
)
event = models.NewEvent.from_dict({"id": "evt_py", "type": "kyc.session.created", "data": {"x": 1}})
sent = send_events.sync_detailed(client=client, body=event, tenant="python")
state = ""
for _ in range(100):
    found = list_deliveries.sync_detailed("python", client=client)
    items = found.parsed.data.data if found.parsed else []
    state = items[0].state.value if items else ""
    if state == "delivered":
        break
    time.sleep(0.1)
saw = {
    "tenant": tenant.parsed.data.id, "destination": destination.status_code.value,
    "route": route.parsed.data.to, "sent": sent.status_code.value, "state": state,
}
print(json.dumps({"problems": [compiled.stderr] if compiled.returncode else [], "saw": saw}))
