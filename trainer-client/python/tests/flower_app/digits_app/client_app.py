"""A Flower app as Flower's own examples have it: softmax regression on scikit-learn's digits."""

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from sklearn.datasets import load_digits

app = ClientApp()


def load_data(partition_id, num_partitions):
    images, labels = load_digits(return_X_y=True)
    mine = slice(partition_id, None, num_partitions)
    return (images[mine] / 16).astype(np.float32), labels[mine]


def probabilities(weight, bias, images):
    scores = np.exp(images @ weight + bias)
    return scores / scores.sum(axis=1, keepdims=True)


@app.train()
def train(msg: Message, context: Context):
    weight, bias = [a.copy() for a in msg.content["arrays"].to_numpy_ndarrays()]
    images, labels = load_data(
        context.node_config["partition-id"], context.node_config["num-partitions"]
    )
    for _ in range(context.run_config["local-epochs"]):
        error = probabilities(weight, bias, images) - np.eye(10, dtype=np.float32)[labels]
        weight -= msg.content["config"]["lr"] * images.T @ error / len(labels)
        bias -= msg.content["config"]["lr"] * error.mean(axis=0)
    loss = -np.log(probabilities(weight, bias, images)[np.arange(len(labels)), labels]).mean()
    metrics = MetricRecord({"train_loss": float(loss), "num-examples": len(labels)})
    content = RecordDict({"arrays": ArrayRecord([weight, bias]), "metrics": metrics})
    return Message(content=content, reply_to=msg)


@app.evaluate()
def evaluate(msg: Message, context: Context):
    weight, bias = msg.content["arrays"].to_numpy_ndarrays()
    images, labels = load_data(
        context.node_config["partition-id"], context.node_config["num-partitions"]
    )
    right = probabilities(weight, bias, images).argmax(axis=1) == labels
    metrics = MetricRecord({"eval_acc": float(right.mean()), "num-examples": len(labels)})
    return Message(content=RecordDict({"metrics": metrics}), reply_to=msg)
