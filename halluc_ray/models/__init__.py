"""Models behind one protocol: encode samples, run one batch, close. torch stays inside this room."""
