"""The supervisor on the tiny service: `python run_supervisor.py [tiny_app:create_app]`."""

import sys

from tallystick.apps.supervisor import Plan, supervise
from tallystick.platform.settings import load_settings

if __name__ == "__main__":
    service = sys.argv[1] if len(sys.argv) > 1 else "tiny_app:create_app"
    plan = Plan(service=service, background=("tiny_background",), prepare=lambda _url, _settings: None)
    raise SystemExit(supervise(load_settings(), plan))
