"""A web service with FastAPI: one model for all of its threads, whole tables or single rows in a request.

Needs FastAPI, Uvicorn and HTTPX; asks itself a few questions and stops. A file of yours ends before `ask_itself`, and
`MODEL=penguins.whet uvicorn --workers 2 fastapi_service:app` serves it.
"""

import os
import socket
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from threading import Thread

import httpx
import uvicorn
from fastapi import FastAPI, HTTPException, Request

import whet
from whet.data import load_penguins, split


@asynccontextmanager
async def opened(app):
    """The model is opened once, before the first request, and shared by the threads of all."""
    whet.set_num_threads(1)
    app.state.model = whet.load(os.environ["MODEL"])
    yield


app = FastAPI(lifespan=opened)


@app.post("/predict")
def predict(table: dict[str, list[float | str | None]], request: Request) -> dict[str, list[str | float]]:
    """Columns in, species and their probabilities out. Without `async`, FastAPI calls this in a thread of its pool."""
    model = request.app.state.model
    try:
        probability = model.predict_proba(table)
    except (TypeError, ValueError) as error:  # a table that does not fit, in words for whoever sent it
        raise HTTPException(422, str(error)) from None
    species = model.classes_[probability.argmax(axis=1)]
    return {"species": species.tolist(), "probability": probability.max(axis=1).tolist()}


@contextmanager
def served():
    """A client of the service, which runs in a thread of this process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = Thread(target=server.run, args=([listener],))
        thread.start()
        with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=60) as client:
            yield client
        server.should_exit = True
        thread.join()


def ask_itself():
    train, test = split(load_penguins(), sizes=(0.75, 0.25), seed=0, stratify="species")
    trained = whet.TabularModel("species", hidden=(16,))
    trained.fit(train, epochs=40, seed=0)
    cells = {name: [None if cell != cell else cell for cell in test[name].tolist()] for name in test.names}
    rows = [{name: [column[row]] for name, column in cells.items()} for row in range(test.rows)]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MODEL"] = f"{folder}/penguins.whet"
        trained.save(os.environ["MODEL"])
        with served() as client, ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda row: client.post("/predict", json=row).json()["species"][0], rows))
            same = client.post("/predict", json=cells).json()["species"] == answers
            refused = client.post("/predict", json={"island": ["Dream"]})
    right = sum(answer == truth for answer, truth in zip(answers, test.labels, strict=True))
    print(f"{right} of {len(rows)} requests were answered with the right species, and all rows at once so: {same}")
    print("a table without columns:", refused.status_code, refused.json()["detail"])


if __name__ == "__main__":
    ask_itself()
