"""NVIDIA's GPU operator as K3s installs it: its chart, our values, the objects, the images; no host is asked here."""
