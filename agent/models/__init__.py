"""Chat models: messages in, replies out. A model knows no tool and no planner."""
