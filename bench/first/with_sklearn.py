import sys
import warnings

from penguins import arrays
from sklearn.neural_network import MLPClassifier

warnings.simplefilter("ignore")  # 100 epochs are what was asked for, not convergence
x, y = arrays(sys.argv[1])
model = MLPClassifier((64,), learning_rate_init=1e-3, batch_size=32, max_iter=100, n_iter_no_change=100, alpha=0.0)
print(model.fit(x, y).score(x, y))
