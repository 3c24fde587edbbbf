"""A small web service: every request is a thread, all of them predict with one model at the same time.

It asks itself a few questions and stops. Needs nothing besides whet.
"""

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import whet
from whet.data import load_penguins, split


class Answers(BaseHTTPRequestHandler):
    """POST {column: [cells]} and get {"species": [...], "probability": [...]}, or the reason why not."""

    model: whet.TabularModel

    def do_POST(self):
        """Predict, or say what was expected."""
        try:
            table = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            probability = self.model.predict_proba(table)
            species = self.model.classes_[probability.argmax(axis=1)]
            status, answer = 200, {"species": species.tolist(), "probability": probability.max(axis=1).tolist()}
        except (TypeError, ValueError) as error:  # whet's errors for a table that does not fit
            status, answer = 400, {"error": str(error)}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Be quiet."""


def ask(url, table):
    """The status and the answer of the service."""
    try:
        with urlopen(Request(url, json.dumps(table).encode()), timeout=30) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


train, test = split(load_penguins(), sizes=(0.75, 0.25), seed=0, stratify="species")
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "penguins.whet"
    trained = whet.TabularModel("species", hidden=(16,))
    trained.fit(train, epochs=40, seed=0)
    trained.save(path)
    Answers.model = whet.load(path)  # a service would begin here

whet.set_num_threads(1)  # a thread for each request, one for the kernels of each
with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    columns = {name: test[name].tolist() for name in test.names}
    rows = [
        {name: [None if cell != cell else cell] for name, cell in zip(columns, row, strict=True)}
        for row in zip(*columns.values(), strict=True)
    ]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda row: ask(url, row), rows))
    right = sum(answer["species"] == [truth] for (_, answer), truth in zip(answers, test.labels, strict=True))
    print(f"{right} of {len(rows)} requests were answered with the right species")
    print("a table without columns:", *ask(url, {"island": ["Dream"]}))
    server.shutdown()
