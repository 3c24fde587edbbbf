import sys

import whet
from whet import optim

model = whet.TabularModel("species", hidden=(64,))
model.fit(sys.argv[1], epochs=100, batch_size=32, optimizer=optim.Adam(lr=1e-3))
print(model.evaluate(sys.argv[1])["accuracy"])
