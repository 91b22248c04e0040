"""The logger mlflow against a server that knows the documented requests and refuses all others: what is sent, who asks, a run
that is resumed, servers that fail, hang, refuse or are not there. Training never ends because of them."""
import base64
import http.server
import json
import os
import re
import socket
import threading
import time
import urllib.parse

from harness import ROOT, Case, main, records, sets

FIELDS = {"experiments/create": {"name"}, "runs/create": {"experiment_id", "run_name", "start_time"}, "runs/update": {"run_id", "status", "end_time"}, "runs/log-batch": {"run_id", "metrics", "params"}}


class Server(http.server.ThreadingHTTPServer):
    """`trouble`: called with the path of each request; returns a status to answer instead, or None."""

    def __init__(self, trouble=lambda path: None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.trouble, self.experiments, self.runs, self.asked, self.wrong, self.lock = trouble, {}, {}, [], [], threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def uri(self):
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, path, query, body):
        if path == "experiments/get-by-name":
            name = query["experiment_name"][0]
            return (200, {"experiment": {"experiment_id": self.experiments[name], "name": name}}) if name in self.experiments else (404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"})
        if path not in FIELDS or not set(body) <= FIELDS[path]:
            self.wrong.append((path, body))
            return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "unknown"}
        if path == "experiments/create":
            return 200, {"experiment_id": self.experiments.setdefault(body["name"], str(len(self.experiments) + 1))}
        if path == "runs/create":
            run = f"run{len(self.runs)}"
            self.runs[run] = {"metrics": [], "params": {}, "status": "RUNNING", **body}
            return 200, {"run": {"info": {"run_id": run}}}
        if body["run_id"] not in self.runs:
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such run"}
        run = self.runs[body["run_id"]]
        if path == "runs/update":
            run["status"] = body["status"]
            return 200, {"run_info": {}}
        if len(body.get("metrics", [])) > 1000 or len(body.get("params", [])) > 100:
            self.wrong.append((path, "too many"))
        run["metrics"] += body.get("metrics", [])
        run["params"].update({p["key"]: p["value"] for p in body.get("params", [])})
        return 200, {}


class Handler(http.server.BaseHTTPRequestHandler):
    def handle_one(self):
        url = urllib.parse.urlparse(self.path)
        path = url.path.removeprefix("/api/2.0/mlflow/")
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length)) if length else {}
        with self.server.lock:
            self.server.asked.append((self.command, path, self.headers.get("Authorization")))
            trouble = self.server.trouble(path)
            status, answer = (trouble, {"message": "trouble"}) if trouble else self.server.answer(path, urllib.parse.parse_qs(url.query), body)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    do_GET = do_POST = handle_one

    def log_message(self, *_):
        pass


class Mlflow(Case):
    def run_with(self, name, uri, *args, steps=4, env=None, code=0, **values):
        run = self.folder / name
        values = dict(train__steps=steps, train__checkpoint_every=2, train__loggers='["mlflow"]', **({"train__mlflow__uri": uri} if uri else {}), **values)
        done = self.train(run, *args, *sets(**values), code=code, env={**os.environ, **(env or {})})
        return run, done

    def test_what_is_sent(self):
        server = Server()
        run, done = self.run_with("first", server.uri, train__mlflow__experiment="some & other", env={"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "se:cret"})
        self.assertNotIn("mlflow:", done.stderr)
        self.assertEqual((server.wrong, list(server.experiments)), ([], ["some & other"]))
        [sent] = server.runs.values()
        self.assertEqual((sent["status"], sent["run_name"]), ("FINISHED", "first"))
        self.assertEqual({who for _, _, who in server.asked}, {"Basic " + base64.b64encode(b"me:se:cret").decode()})
        self.assertEqual((sent["params"]["train.steps"], sent["params"]["model.llm.plugin"]), ("4", "llama"))
        ours = {(line["step"], key): value for line in records(run / "metrics.jsonl") for key, value in line.items() if key != "step" and value is not None}
        self.assertEqual({(m["step"], m["key"]): m["value"] for m in sent["metrics"]}, ours)
        self.assertTrue(all(abs(m["timestamp"] / 1000 - time.time()) < 600 for m in sent["metrics"]))
        self.run_with("first", server.uri, "--resume", steps=6, train__mlflow__experiment="some & other", env={"MLFLOW_TRACKING_TOKEN": "t0ken"})
        self.assertEqual(len(server.runs), 1, "a resumed run goes on in its own")
        self.assertEqual({m["step"] for m in sent["metrics"]}, set(range(1, 7)))
        self.assertEqual((sent["status"], server.asked[-1][2]), ("FINISHED", "Bearer t0ken"))
        server.runs.clear()
        _, done = self.run_with("first", server.uri, "--resume", steps=7, train__mlflow__experiment="some & other")
        self.assertIn("does not know the run", done.stderr)
        self.assertEqual(len(server.runs), 1)

    def test_the_example_of_the_docs(self):
        text = (ROOT / "docs" / "operator.md").read_text()
        [block] = [block for block in re.findall(r"```toml\n(.*?)```", text, re.S) if "[train.mlflow]" in block]
        server, file, run = Server(), self.folder / "example.toml", self.folder / "example"
        file.write_text(f'extends = "{self.config}"\n{block}')
        self.call("train", file, *sets(train__steps=2, train__output=run, train__mlflow__uri=server.uri))
        self.assertEqual((list(server.experiments), len(server.runs)), (["stamps"], 1))
        self.assertEqual(len(list(run.glob("events.out.tfevents.*"))), 1)

    def test_address_of_the_environment(self):
        server = Server()
        self.run_with("environment", "", env={"MLFLOW_TRACKING_URI": server.uri + "/"})
        self.assertEqual(len(server.runs), 1)

    def test_a_server_that_fails_at_first(self):
        count = [0]

        def trouble(path):
            count[0] += 1
            return (503, 429, 500)[count[0] % 3] if count[0] <= 4 else None

        server = Server(trouble)
        run, done = self.run_with("failing", server.uri)
        [sent] = server.runs.values()
        self.assertEqual({m["step"] for m in sent["metrics"]}, {1, 2, 3, 4}, "asked again, and nothing is lost")
        self.assertEqual(done.stderr.count("mlflow:"), 1)
        self.assertIn("the training goes on", done.stderr)

    def test_a_server_that_refuses(self):
        server = Server(lambda path: 401)
        run, done = self.run_with("refused", server.uri)
        self.assertEqual(len(records(run / "metrics.jsonl")), 4)
        self.assertRegex(done.stderr, r"HTTP status 401(.|\n)*could not be sent")
        self.assertLess(len(server.asked), 3, "not asked again")

    def test_no_server(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            uri = f"http://127.0.0.1:{closed.getsockname()[1]}"
            run, done = self.run_with("alone", uri)
        self.assertEqual(len(records(run / "metrics.jsonl")), 4)
        self.assertRegex(done.stderr, r"the training goes on(.|\n)*\d+ values of metrics could not be sent")

    def test_refused_addresses(self):
        for uri, word in (("https://host", "begins with http://"), ("http://", "no host"), ("http://host:99999", "port"), ("http://a b", "no host"), ("", "MLFLOW_TRACKING_URI")):
            env = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}
            run = self.folder / f"wrong_{len(uri)}"
            done = self.train(run, *sets(train__steps=1, train__loggers='["mlflow"]', **({"train__mlflow__uri": uri} if uri else {})), code=2, env=env)
            self.assertIn(word, done.stderr)


if __name__ == "__main__":
    main()
