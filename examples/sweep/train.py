"""Train one classifier on a data set that ships with scikit-learn, and track it.

python train.py --model mlp --hidden 64 --rate 0.001 --epochs 25
python train.py --model forest --data breast_cancer --trees 200
"""

import argparse
import tempfile
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import sklearn
from sklearn import datasets
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import ConfusionMatrixDisplay, accuracy_score, f1_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

import gittrack

DATA = {
    "digits": (datasets.load_digits, "digits.csv.gz"),
    "breast_cancer": (datasets.load_breast_cancer, "breast_cancer.csv"),
    "wine": (datasets.load_wine, "wine_data.csv"),
}


def load(name, seed):
    """Return the features and labels of the training, validation and test parts: 60, 20 and 20 percent."""
    features, labels = DATA[name][0](return_X_y=True)
    rest, test, rest_labels, test_labels = train_test_split(
        features, labels, test_size=0.2, stratify=labels, random_state=seed
    )
    train, valid, train_labels, valid_labels = train_test_split(
        rest, rest_labels, test_size=0.25, stratify=rest_labels, random_state=seed
    )
    train, valid, test = scale(train, valid, test)
    return (train, train_labels), (valid, valid_labels), (test, test_labels)


def scale(train, valid, test):
    """Bring the features to about the same size, by what the training part shows."""
    largest = abs(train).max()
    return train / largest, valid / largest, test / largest


def score(model, part, prefix):
    features, labels = part
    probabilities = model.predict_proba(features)
    return {
        f"{prefix}_loss": log_loss(labels, probabilities, labels=model.classes_),
        f"{prefix}_accuracy": accuracy_score(labels, model.classes_[probabilities.argmax(axis=1)]),
    }


def fit_by_epochs(run, model, train, valid, epochs):
    """Models that see the data again and again: one point of every metric for each epoch."""
    classes = sorted(set(train[1]))
    for epoch in range(epochs):
        model.partial_fit(*train, classes=classes)
        run.log({**score(model, train, "train"), **score(model, valid, "valid")}, step=epoch)


def fit_by_trees(run, model, train, valid, trees):
    """A forest that grows: one point for every few trees."""
    for count in range(5, trees + 1, 5):
        model.set_params(n_estimators=count)
        model.fit(*train)
        run.log({**score(model, train, "train"), **score(model, valid, "valid")}, step=count)


def fit_by_stages(run, model, train, valid):
    """Boosting keeps its stages, so the curve can be told afterwards."""
    model.fit(*train)
    labels = valid[1]
    for stage, probabilities in enumerate(model.staged_predict_proba(valid[0]), start=1):
        run.log(
            {
                "train_deviance": model.train_score_[stage - 1],
                "valid_loss": log_loss(labels, probabilities, labels=model.classes_),
                "valid_accuracy": accuracy_score(labels, model.classes_[probabilities.argmax(axis=1)]),
            },
            step=stage,
        )


def fit_at_once(run, model, train, valid):
    model.fit(*train)
    predicted = model.predict(valid[0])
    run.log({"valid_accuracy": accuracy_score(valid[1], predicted), "support_vectors": int(model.n_support_.sum())})


def train_model(run, args, train, valid):
    """Build the model the arguments ask for, log the parameters it has, fit it, and return it."""
    if args.model == "sgd":
        run.log_params({"rate": args.rate, "alpha": args.alpha, "epochs": args.epochs})
        model = SGDClassifier(
            loss="log_loss", learning_rate="constant", eta0=args.rate, alpha=args.alpha, random_state=args.seed
        )
        fit_by_epochs(run, model, train, valid, args.epochs)
    elif args.model == "mlp":
        run.log_params({"rate": args.rate, "hidden": args.hidden, "alpha": args.alpha, "epochs": args.epochs})
        model = MLPClassifier(
            (args.hidden,), learning_rate_init=args.rate, alpha=args.alpha, batch_size=64, random_state=args.seed
        )
        fit_by_epochs(run, model, train, valid, args.epochs)
    elif args.model == "forest":
        run.log_params({"trees": args.trees, "depth": args.depth})
        model = RandomForestClassifier(max_depth=args.depth, warm_start=True, random_state=args.seed)
        fit_by_trees(run, model, train, valid, args.trees)
    elif args.model == "boosting":
        run.log_params({"rate": args.rate, "trees": args.trees, "depth": args.depth})
        model = GradientBoostingClassifier(
            learning_rate=args.rate,
            n_estimators=args.trees,
            max_depth=args.depth,
            max_features="sqrt",
            subsample=0.5,
            random_state=args.seed,
        )
        fit_by_stages(run, model, train, valid)
    else:
        run.log_params({"c": args.c, "kernel": args.kernel})
        model = SVC(C=args.c, kernel=args.kernel, random_state=args.seed)
        fit_at_once(run, model, train, valid)
    return model


def log_results(run, model, test):
    """Log the last scores, a picture of the mistakes, and the model itself."""
    features, labels = test
    predicted = model.predict(features)
    run.log(
        {
            "test_accuracy": accuracy_score(labels, predicted),
            "test_f1": f1_score(labels, predicted, average="macro"),
        }
    )
    figure, axes = plt.subplots(figsize=(4, 4))
    ConfusionMatrixDisplay.from_predictions(labels, predicted, ax=axes, colorbar=False)
    run.log_figure(figure, "confusion.png")
    plt.close(figure)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "model.joblib"
        joblib.dump(model, path, compress=3)
        run.log_artifact(path)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=["sgd", "mlp", "forest", "boosting", "svm"], default="mlp")
    parser.add_argument("--data", choices=sorted(DATA), default="digits")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rate", type=float, default=0.01)
    parser.add_argument("--alpha", type=float, default=0.0001)
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--trees", type=int, default=50)
    parser.add_argument("--depth", type=int)
    parser.add_argument("--c", type=float, default=1.0)
    parser.add_argument("--kernel", choices=["linear", "rbf"], default="rbf")
    return parser.parse_args()


def main():
    args = parse_arguments()
    with gittrack.start_run(args.data, tags={"library": f"scikit-learn {sklearn.__version__}"}) as run:
        run.log_params({"model": args.model, "seed": args.seed})
        run.log_input(Path(datasets.__file__).parent / "data" / DATA[args.data][1], name=args.data)
        train, valid, test = load(args.data, args.seed)
        model = train_model(run, args, train, valid)
        log_results(run, model, test)


if __name__ == "__main__":
    main()
