"""The parts of bench/drill.py: what is done to an instance, and the ledger of what it should have done."""
