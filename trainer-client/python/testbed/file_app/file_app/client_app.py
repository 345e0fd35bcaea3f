"""A Flower app whose updates are files that a test has written: DIRECTORY/ID-ROUND.safetensors."""

import safetensors.numpy
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(msg: Message, context: Context):
    node = context.node_config
    number = msg.content["config"]["server-round"]
    tensors = safetensors.numpy.load_file(f"{node['directory']}/{node['id']}-{number}.safetensors")
    arrays = ArrayRecord({name: Array(value) for name, value in tensors.items()})
    metrics = MetricRecord({"num-examples": node["samples"]})
    return Message(content=RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=msg)


@app.evaluate()
def evaluate(msg: Message, context: Context):
    first = float(msg.content["arrays"]["layer.weight"].numpy()[0, 0])
    metrics = {"first": first, "who": 2.0, "num-examples": context.node_config["samples"]}
    return Message(content=RecordDict({"metrics": MetricRecord(metrics)}), reply_to=msg)
