"""Which documents repeat an earlier one, exactly or nearly."""
