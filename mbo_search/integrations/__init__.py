"""Adapters: training loops of other libraries, and of your own, that train what a study asks for."""
