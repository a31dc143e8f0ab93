"""Where we run: who we are, when we must end, why we were stopped, who starts us again."""
