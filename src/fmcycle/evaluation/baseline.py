"""Classic baselines of a classifier, on the same rows."""

import numpy as np

from fmcycle.model.inputs import INPUTS
from fmcycle.processor.components import tokenizer_of

FOR_EACH = 4  # clusters of k-means for each class
WIDTH = 100  # dimensions in which texts are clustered and compared


def baselines(seen: list[dict], labels: np.ndarray, held_out: list[dict], processor, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Return {method: its classes of `held_out` (rows,)} after training on `seen` with their `labels`.

    Features of texts are TF-IDF of words and word pairs, of images and audio the standardised values. Logistic regression and ridge
    use all of them; nearest neighbour and k-means (4 clusters a class, majority label) use the 100 largest SVD components of texts.
    """
    from sklearn.linear_model import LogisticRegression, RidgeClassifier
    from sklearn.neighbors import KNeighborsClassifier

    train, test, near, near_test = features(seen, held_out, processor, seed)
    return {
        "most_frequent": np.full(len(held_out), np.bincount(labels).argmax()),
        "regression": LogisticRegression(max_iter=1000, C=10.0).fit(train, labels).predict(test),
        "ridge": RidgeClassifier().fit(train, labels).predict(test),
        "nearest_neighbour": KNeighborsClassifier(1).fit(near, labels).predict(near_test),
        "k_means": clustered(near, labels, near_test, seed),
    }


def features(seen: list[dict], held_out: list[dict], processor, seed: int) -> tuple:
    """Return the features (seen, held out, seen in few dimensions, held out in few dimensions)."""
    from sklearn.preprocessing import StandardScaler

    if "input_ids" in seen[0]:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        tokenizer = tokenizer_of(processor)
        texts, others = ([tokenizer.decode(each["input_ids"], skip_special_tokens=True) for each in rows] for rows in (seen, held_out))
        counted = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(texts)
        train, test = counted.transform(texts), counted.transform(others)
        narrow = TruncatedSVD(min(WIDTH, train.shape[1] - 1), random_state=seed).fit(train)
        return train, test, narrow.transform(train), narrow.transform(test)
    name = next(name for name in INPUTS if name in seen[0])
    numbers, more = (np.stack([each[name].ravel() for each in rows]) for rows in (seen, held_out))
    scaler = StandardScaler().fit(numbers)
    train, test = scaler.transform(numbers), scaler.transform(more)
    return train, test, train, test


def clustered(train: np.ndarray, labels: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """Return the majority class of each test row's cluster: (rows,)."""
    from sklearn.cluster import KMeans

    found = KMeans(min(FOR_EACH * len(np.unique(labels)), len(train)), n_init=1, random_state=seed).fit(train)
    classes = np.array([np.bincount(labels[found.labels_ == cluster], minlength=1).argmax() for cluster in range(found.n_clusters)])
    return classes[found.predict(test)]
