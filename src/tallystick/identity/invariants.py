"""Statements about identity that must return no row."""

INVARIANTS: dict[str, str] = {
    "an erased user keeps nothing personal": """
        SELECT u.id FROM users u WHERE u.status = 'erased' AND (
            EXISTS (SELECT FROM user_profiles p WHERE p.user_id = u.id)
            OR EXISTS (SELECT FROM credentials c WHERE c.user_id = u.id)
            OR EXISTS (SELECT FROM sessions s WHERE s.user_id = u.id)
            OR EXISTS (SELECT FROM password_resets r WHERE r.user_id = u.id)
        )
    """,
    "a living user has a profile and a password": """
        SELECT u.id FROM users u LEFT JOIN user_profiles p ON p.user_id = u.id LEFT JOIN credentials c ON c.user_id = u.id
        WHERE u.status <> 'erased' AND (p.user_id IS NULL OR c.user_id IS NULL)
    """,
    "no two users share an address": """
        SELECT lower(email) FROM user_profiles GROUP BY 1 HAVING count(*) > 1
    """,
    "a refresh token that was used renews nothing": """
        SELECT s.id FROM sessions s JOIN spent_refresh_tokens t ON t.token_hash = s.refresh_hash
    """,
}
