"""A worker process that executes the steps of a job, for tests of the worker pool."""

import json
import os
import sys
import time

for line in sys.stdin:
    job = json.loads(line)
    for step in job["steps"]:
        if step == "sleep":
            time.sleep(60)
        elif step == "die":
            os._exit(3)
        elif step == "half a line":
            sys.stdout.write('{"record": {"pid"')
            sys.stdout.flush()
            os._exit(3)
        else:
            print(json.dumps({step: {"job": job["method"], "pid": os.getpid()}}), flush=True)
